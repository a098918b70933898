"""What a boundary predictor sees of a trace: one rule, in training as in use.

A window starts at a multiple of half its size, so many neighbouring positions share a start and a
key-value cache serves them all, yet every position has at least half a window of left context. Pure.
"""

from __future__ import annotations


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
