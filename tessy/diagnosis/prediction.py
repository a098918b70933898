"""How well a gap, measured before training, predicted what training did. Pure.

Not covered: why; with a handful of runs of one world nothing is proved, which the interval says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tessy.statistics import Estimate, rank_correlation


@dataclass(frozen=True, slots=True)
class Trained:
    """A training run, or the mean of several that differ in their seed: what it was trained on (`method`
    under `setting`), the `gaps` measured before, the scores `before` and `after` by benchmark."""

    method: str
    setting: str
    seeds: Sequence[int]
    gaps: Mapping[str, float]
    before: Mapping[str, float]
    after: Mapping[str, float]

    @property
    def changes(self) -> dict[str, float]:
        """By benchmark, what training added to the score."""
        return {name: self.after[name] - self.before[name] for name in self.after if name in self.before}


@dataclass(frozen=True, slots=True)
class Prediction:
    """Spearman's rank correlation over `runs` of a gap and the change of a benchmark's score, with its 95 %
    interval; below 0 where a larger gap came before a larger loss."""

    gap: str
    benchmark: str
    runs: int
    correlation: Estimate


def predictions(runs: Sequence[Trained]) -> list[Prediction]:
    """Every gap against every benchmark, over the runs that have both; at least three of them."""
    names = dict.fromkeys(name for run in runs for name in run.gaps)
    benchmarks = dict.fromkeys(name for run in runs for name in run.changes)
    out = []
    for benchmark in benchmarks:
        for gap in names:
            pairs = [
                (run.gaps[gap], run.changes[benchmark])
                for run in runs
                if gap in run.gaps and benchmark in run.changes
            ]
            if len(pairs) >= 3:
                one, two = np.array(pairs).T
                out.append(Prediction(gap, benchmark, len(pairs), rank_correlation(one, two)))
    return out


def over_seeds(runs: Sequence[Trained]) -> list[Trained]:
    """Runs of one method and setting as one, with the mean of their scores: seeds of one set are no
    independent evidence about it."""
    groups: dict[tuple[str, str], list[Trained]] = {}
    for run in runs:
        groups.setdefault((run.setting, run.method), []).append(run)
    return [
        Trained(
            method,
            setting,
            [seed for run in group for seed in run.seeds],
            _means([run.gaps for run in group]),
            _means([run.before for run in group]),
            _means([run.after for run in group]),
        )
        for (setting, method), group in groups.items()
    ]


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: float(np.mean([row[name] for row in rows])) for name in shared}
