"""Cuts sampled thinking into segments for annotation (paper: 60 words at random places)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

SEGMENTS = "segments/segments.parquet"
THINKINGS = "thinkings/thinkings.parquet"
"""The whole thinkings that segments were cut from: a predictor reads what stands before a segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one thinking: `text` starts at character `start` of the thinking of `sample_id`."""

    segment_id: str
    sample_id: str
    problem_id: str
    start: int
    text: str


def segments(thinkings: Sequence[tuple[str, str, str]], words: int, count: int, seed: int) -> list[Segment]:
    """Up to `count` distinct segments of `words` words from (sample id, problem id, thinking) triples.

    Segments keep the white space before their first word: it belongs to that word. A shorter thinking
    gives one segment, all of it. Duplicate texts are dropped, so there may be fewer than `count`.
    """
    rng = random.Random(seed)
    out: dict[str, Segment] = {}
    usable = [(sample, problem, text) for sample, problem, text in thinkings if text.strip()]
    for attempt in range(20 * count if usable else 0):
        if len(out) == count:
            break
        sample_id, problem_id, text = (
            usable[attempt % len(usable)] if attempt < len(usable) else rng.choice(usable)
        )
        bounds = [match.span() for match in re.finditer(r"\s*\S+", text)]
        first = rng.randrange(max(1, len(bounds) - words + 1))
        start, end = bounds[first][0], bounds[min(first + words, len(bounds)) - 1][1]
        segment = Segment(f"{sample_id}:{start}", sample_id, problem_id, start, text[start:end])
        out.setdefault(segment.text, segment)
    return list(out.values())
