"""From character spans marked as style to one label per token: 1 style, 0 capability.

Not covered: who marks them (`lexicon`, `annotators`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tessy.records import Role

StyleSpan = tuple[int, int]
"""Start and end offset of a stretch of style, white space before it included."""

IGNORED = -100
"""The label that torch's losses skip: context, and tokens nobody annotated."""

FOREIGN_LABEL: dict[Role, int] = {"student": 0, "teacher": 1}
"""What must not occur in a role's own text (Algorithm 1, step 2)."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """The style spans of a thinking between the offsets `start` and `end`, relative to `start`."""

    start: int
    end: int
    style: Sequence[StyleSpan]


def within(spans: Sequence[StyleSpan], start: int, end: int) -> list[StyleSpan]:
    """The parts of `spans` between `start` and `end`, relative to `start`."""
    clipped = [(max(begin, start) - start, min(stop, end) - start) for begin, stop in spans]
    return [(begin, stop) for begin, stop in clipped if begin < stop]


def token_labels(offsets: Sequence[tuple[int, int]], style: Sequence[StyleSpan]) -> list[int]:
    """1 (style) or 0 (capability) per token, given each token's (start, end) offsets in the text.

    A token belongs to style if most of it lies in style spans.
    """
    if not len(offsets):
        return []
    starts, ends = np.array(offsets).T
    inside = np.zeros(ends.max() + 1, np.int64)
    for begin, stop in style:
        inside[begin + 1 : stop + 1] += 1
    before = inside.cumsum()
    labels: list[int] = (2 * (before[ends] - before[starts]) > ends - starts).astype(int).tolist()
    return labels


def trace_labels(offsets: Sequence[tuple[int, int]], annotations: Sequence[Annotation]) -> list[int]:
    """A label per token of a whole thinking: the majority vote of the annotations that contain the token.

    `IGNORED` where there is none, or where they are split evenly.
    """
    votes = [0] * len(offsets)
    starts = [start for start, _ in offsets]
    for annotation in annotations:
        first, stop = bisect_left(starts, annotation.start), bisect_left(starts, annotation.end)
        held = [i for i in range(first, stop) if offsets[i][1] <= annotation.end]
        inside = [(offsets[i][0] - annotation.start, offsets[i][1] - annotation.start) for i in held]
        for i, label in zip(held, token_labels(inside, annotation.style), strict=True):
            votes[i] += 1 if label else -1
    return [IGNORED if vote == 0 else int(vote > 0) for vote in votes]
