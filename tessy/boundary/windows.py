"""The windows in which a boundary predictor sees a trace: the same rule for training and inference.

A window starts at a multiple of half its size, so that many neighbouring positions share a start and one KV
cache, and every position still has at least half a window of left context. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.boundary.labels import IGNORED


def window_start(position: int, window_tokens: int) -> int:
    """The first position a predictor sees when it reads the token at `position` of a thinking.

    Positions count the predictor's own ids from 0. With H = `window_tokens` // 2, a window holds at
    least H ids to the left of `position`, unless the thinking is shorter, and fewer than
    `window_tokens` of them. Raises `ValueError` under 2 tokens.
    """
    if window_tokens < 2:
        raise ValueError(f"a window of {window_tokens} tokens has no half; it needs 2 or more")
    half = window_tokens // 2
    return max(0, (position // half - 1) * half)


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a trace: `ids` from position `start`, and their targets.

    `targets[i]` is the label of the token after `ids[i]` (the paper's shift by one), `IGNORED` where
    that is unknown or where `ids[i]` is left context only.
    """

    start: int
    ids: list[int]
    targets: list[int]


def training_windows(ids: Sequence[int], labels: Sequence[int], window_tokens: int) -> Iterator[Window]:
    """Windows in which every annotated token except a trace's first is a target once, as in inference.

    `labels` has one label per id. Positions that share a window start share a window.
    """
    half = window_tokens // 2
    for block in range(0, len(ids), half):
        end = min(block + half, len(ids))
        targets = [*labels[block + 1 : end + 1], *[IGNORED] * (end == len(ids))]
        if any(target != IGNORED for target in targets):
            start = window_start(block, window_tokens)
            yield Window(start, list(ids[start:end]), [IGNORED] * (block - start) + targets)
