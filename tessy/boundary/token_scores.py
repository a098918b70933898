"""Scores of a predictor on annotated tokens (per class, boundaries, calibration), and choice of threshold.

The positive class is style. A boundary is a change of label between two neighbouring tokens of a trace, both
annotated; boundaries match only in the same direction. Pure.

Not covered: text whose truth is known character by character (`quality`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Policy = Literal["balanced", "no_style_leak", "no_capability_leak"]
"""Which error the threshold avoids: none in particular, style in the teacher's text (doubtful tokens count
as style), or capability in the student's (doubtful tokens count as capability)."""

THRESHOLDS = np.arange(1, 100) / 100
BETA = 2.0
"""A policy that favours one class weighs its recall twice as much as its precision (F2)."""
BINS = 15
"""Of the expected calibration error, equally wide."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Annotated tokens in the order of their traces: `trace` numbers them, `position` counts a trace's
    tokens, `style` is the true label, `probability` the predicted one of style. Arrays of one length."""

    trace: NDArray[np.int64]
    position: NDArray[np.int64]
    style: NDArray[np.bool_]
    probability: NDArray[np.float64]

    def found(self, threshold: float) -> NDArray[np.bool_]:
        return self.probability > threshold


def class_scores(tokens: Tokens, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of each class; a class that neither occurs nor is predicted scores 1."""
    found, out = tokens.found(threshold), {}
    for name, is_found, is_true in (
        ("style", found, tokens.style),
        ("capability", ~found, ~tokens.style),
    ):
        hits, n_found, n_true = int((is_found & is_true).sum()), int(is_found.sum()), int(is_true.sum())
        out[f"{name}_precision"] = hits / n_found if n_found else float(not n_true)
        out[f"{name}_recall"] = hits / n_true if n_true else float(not n_found)
        out[f"{name}_f1"] = f_score(hits, n_found, n_true)
    return out


def f_score(hits: int, found: int, true: int, beta: float = 1.0) -> float:
    """F-beta from counts; 1 where there are neither positives nor predictions."""
    total = found + beta**2 * true
    return (1 + beta**2) * hits / total if total else 1.0


def boundary_f1(tokens: Tokens, threshold: float, tolerance: int) -> float:
    """F1 of boundaries, matched one to one if at most `tolerance` tokens apart."""
    hits = found = true = 0
    for into_style in (True, False):
        predicted = _boundaries(tokens, tokens.found(threshold), into_style, tolerance)
        real = _boundaries(tokens, tokens.style, into_style, tolerance)
        hits += _matches(predicted, real, tolerance)
        found, true = found + len(predicted), true + len(real)
    return f_score(hits, found, true)


def _boundaries(tokens: Tokens, labels: NDArray[np.bool_], into_style: bool, gap: int) -> NDArray[np.int64]:
    """Positions of label changes on one axis, with traces so far apart that none match across traces."""
    neighbours = (np.diff(tokens.trace) == 0) & (np.diff(tokens.position) == 1)
    changes = neighbours & (labels[1:] != labels[:-1]) & (labels[1:] == into_style)
    length = int(tokens.position.max(initial=0)) + gap + 1
    places: NDArray[np.int64] = (tokens.trace * length + tokens.position)[1:][changes]
    return places


def _matches(one: NDArray[np.int64], two: NDArray[np.int64], tolerance: int) -> int:
    """Size of the maximum matching of two sorted lists whose pairs are at most `tolerance` apart."""
    i = j = hits = 0
    while i < len(one) and j < len(two):
        if abs(int(one[i]) - int(two[j])) <= tolerance:
            hits, i, j = hits + 1, i + 1, j + 1
        elif one[i] < two[j]:
            i += 1
        else:
            j += 1
    return hits


def calibration_error(tokens: Tokens) -> float:
    """Expected calibration error: the mean gap between confidence in the predicted label and its accuracy."""
    if not len(tokens.style):
        return 0.0
    confidence = np.maximum(tokens.probability, 1 - tokens.probability)
    right = (tokens.probability > 0.5) == tokens.style
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float((confidence - right)[bins == b].sum())) for b in range(BINS)]
    return sum(gaps) / len(confidence)


def log_loss(tokens: Tokens) -> float:
    """Mean negative log-probability of the true labels, in nats."""
    of_truth = np.where(tokens.style, tokens.probability, 1 - tokens.probability)
    return float(-np.log(np.clip(of_truth, 1e-12, 1.0)).mean()) if len(of_truth) else 0.0


def choose_threshold(tokens: Tokens, policy: Policy) -> float:
    """The probability above which a token is style: the best by `policy`; of equals the nearest to 0.5."""
    scored = [(_merit(tokens, float(t), policy), -abs(float(t) - 0.5), float(t)) for t in THRESHOLDS]
    return max(scored)[2]


def _merit(tokens: Tokens, threshold: float, policy: Policy) -> float:
    found = tokens.found(threshold)

    def favour(is_found: NDArray[np.bool_], is_true: NDArray[np.bool_], beta: float) -> float:
        return f_score(int((is_found & is_true).sum()), int(is_found.sum()), int(is_true.sum()), beta)

    if policy == "no_style_leak":
        return favour(found, tokens.style, BETA)
    if policy == "no_capability_leak":
        return favour(~found, ~tokens.style, BETA)
    return (favour(found, tokens.style, 1) + favour(~found, ~tokens.style, 1)) / 2
