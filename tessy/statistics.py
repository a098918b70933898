"""Confidence intervals of scores over problems and training seeds.

Scores are arrays of shape (seeds, problems): each cell is the mean over the samples of one problem by
one trained model. The bootstrap resamples both problems and seeds, since both are samples of
larger populations. All intervals are 95 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


def mean(scores: NDArray[np.float64]) -> Estimate:
    """Mean over all cells of `scores` (seeds, problems) in [0, 1].

    Where every cell is 0 or every cell is 1, the bootstrap has no variance; then the Wilson interval over
    the problems is used.
    """
    value = float(scores.mean())
    if value in (0.0, 1.0):
        problems = scores.shape[1]
        interval = stats.binomtest(round(value * problems), problems).proportion_ci(method="wilson")
        return Estimate(value, min(value, float(interval.low)), max(value, float(interval.high)))
    low, high = np.quantile(_resampled_means(scores), [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Estimate:
    """Mean of `ours` minus mean of `theirs` on the same problems, paired by problem.

    The arrays may have different numbers of seeds; seeds are averaged within each resample.
    """
    rng = np.random.default_rng(0)
    problems = rng.integers(ours.shape[1], size=(RESAMPLES, ours.shape[1]))
    gaps = _means(ours, rng, problems) - _means(theirs, rng, problems)
    low, high = np.quantile(gaps, [0.025, 0.975])
    return Estimate(float(ours.mean() - theirs.mean()), float(low), float(high))


def paired_p_value(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Two-sided sign-flip test of equal means on the same problems, seeds averaged per problem.

    The p-value is how often a difference at least this large occurs if every problem's difference has a
    random sign. Never 0: the number of resamples bounds it from below.
    """
    gaps = ours.mean(0) - theirs.mean(0)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(RESAMPLES, gaps.size))
    as_wide = np.abs((signs * gaps).mean(1)) >= abs(gaps.mean()) - 1e-12
    return float((1 + as_wide.sum()) / (1 + RESAMPLES))


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Unbiased estimate of the probability that one of `k` samples passes, given `passed` of `samples`.

    The share of the k-subsets that contain a passing sample (Chen et al. 2021). Needs k <= samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples: k must be from 1 to the number of samples")
    return 1 - math.comb(samples - passed, k) / math.comb(samples, k)


def _resampled_means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return _means(scores, rng, rng.integers(scores.shape[1], size=(RESAMPLES, scores.shape[1])))


def _means(
    scores: NDArray[np.float64], rng: np.random.Generator, problems: NDArray[np.int64]
) -> NDArray[np.float64]:
    seeds = rng.integers(scores.shape[0], size=(RESAMPLES, scores.shape[0]))
    by_problem = np.stack([scores[rows].mean(0) for rows in seeds])
    return np.take_along_axis(by_problem, problems, axis=1).mean(1)


# Ratios and ranks ---------------------------------------------------------------------------------


def ratio(sums: NDArray[np.float64]) -> Estimate:
    """Sum of the first column of `sums` (units, 2) over that of the second, such as nats per token, with its
    bootstrap interval over units."""
    low, high = np.quantile(_resampled_ratios(sums, 0), [0.025, 0.975])
    return Estimate(_ratio(sums), float(low), float(high))


def ratio_difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Estimate:
    """`ratio` of `ours` minus that of `theirs`, whose units are other ones."""
    gaps = _resampled_ratios(ours, 0) - _resampled_ratios(theirs, 1)
    low, high = np.quantile(gaps, [0.025, 0.975])
    return Estimate(_ratio(ours) - _ratio(theirs), float(low), float(high))


def rank_correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> Estimate:
    """Spearman's rank correlation of pairs, with the interval of Bonett and Wright (2000): Fisher's z with
    the variance (1 + r^2/2) / (n - 3). A bootstrap of a handful of pairs would be far too sure.

    0 where one side does not vary; a perfect order counts as 1 - 1/n for the interval.
    """
    pairs, varies = one.size, bool(np.ptp(one) and np.ptp(two))
    value = float(stats.spearmanr(one, two).statistic) if varies else 0.0
    if pairs < 4 or not varies:
        return Estimate(value, -1.0, 1.0)
    held = max(-1 + 1 / pairs, min(1 - 1 / pairs, value))
    half = 1.96 * math.sqrt((1 + held**2 / 2) / (pairs - 3))
    low, high = (math.tanh(math.atanh(held) + side * half) for side in (-1, 1))
    return Estimate(value, min(low, value), max(high, value))


def _ratio(sums: NDArray[np.float64]) -> float:
    above, below = sums.sum(0)
    return float(above / below)


def _resampled_ratios(sums: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """`ratio` of resampled units. Units are weighed by how often they are drawn: the same, in less memory."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(sums), [1 / len(sums)] * len(sums), size=RESAMPLES)
    above, below = (weights @ sums).T
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
