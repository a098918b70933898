"""Per-token agreement of two annotations of the same segments, corrected for chance."""

from __future__ import annotations

from collections.abc import Sequence


def cohens_kappa(one: Sequence[int], two: Sequence[int]) -> float | None:
    """Cohen's kappa of two lists of labels 0 and 1; None where both contain only the same single label."""
    if len(one) != len(two):
        raise ValueError(f"{len(one)} labels against {len(two)}; both annotate the same tokens")
    if not one:
        return None
    observed = sum(a == b for a, b in zip(one, two, strict=True)) / len(one)
    share_one, share_two = sum(one) / len(one), sum(two) / len(two)
    expected = share_one * share_two + (1 - share_one) * (1 - share_two)
    return (observed - expected) / (1 - expected) if expected < 1 else None
