"""The style phrases of a set that surprise the student most. Pure.

Not covered: capability, whose surprise is the point of a stronger teacher.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tessy.diagnosis.tokens import STYLE, Tokens

_SENTENCE_END = re.compile(r"[.!?…]\W*$|\n")


@dataclass(frozen=True, slots=True)
class Phrase:
    """`excess` is what all its occurrences cost the student more than its own style would, in nats; `nll` is
    the mean of its tokens, `own` how often the student's own traces have it."""

    text: str
    times: int
    nll: float
    excess: float
    own: int


def surprising(found: Iterable[Tokens], own: Iterable[Tokens], usual: float, limit: int) -> list[Phrase]:
    """The `limit` phrases of `found` with the largest excess over style tokens of `usual` nll."""
    counts: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for response in found:
        for text, tokens, nats in _phrases(response):
            for i, value in enumerate((1, tokens, nats)):
                counts[text][i] += value
    owned: dict[str, int] = defaultdict(int)
    for response in own:
        for text, _, _ in _phrases(response):
            owned[text] += 1
    phrases = [
        Phrase(text, int(times), nats / tokens, nats - usual * tokens, owned.get(text, 0))
        for text, (times, tokens, nats) in counts.items()
    ]
    return sorted(phrases, key=lambda one: (-one.excess, one.text))[:limit]


def _phrases(response: Tokens) -> Iterator[tuple[str, int, float]]:
    """Text, tokens and nats of every style phrase: a stretch of style, cut at the ends of its sentences."""
    for run in response.runs(STYLE):
        start = run.start
        for at in range(run.start, run.stop):
            if at + 1 == run.stop or _SENTENCE_END.search(response.pieces[at]):
                text = " ".join("".join(response.pieces[start : at + 1]).split())
                if text:
                    yield text, at + 1 - start, float(response.nll[start : at + 1].sum())
                start = at + 1
