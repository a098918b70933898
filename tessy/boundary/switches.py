"""Switches between authors that need no training: baselines for the trained predictors.

Like a trained predictor, they say of each word (`tessy.boundary.Predictor`) or token (`TokenRule`) whether it
belongs to the other author. A word's label depends only on text before its end or within the given text.

    lexicon        a word is style if a phrase of the lexicon covers it, capability otherwise
    every_tokens   each author writes n of its own tokens, then hands over
    never          no hand-over: the student thinks alone

Not covered: entropy or margin of the active model (`uncertainty`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.boundary.labels import FOREIGN_LABEL, token_labels
from tessy.boundary.lexicon import Lexicon
from tessy.records import Role

LOOK_BACK = 400
"""Characters of context that a phrase may have begun in."""


def words(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every word, without the white space before it."""
    return (match.span() for match in re.finditer(r"\S+", text))


class LexiconPredictor:
    """Style is what the lexicon lists, and an incomplete phrase of it at the end of the text."""

    def __init__(self, role: Role, lexicon: Lexicon) -> None:
        self.role, self.lexicon = role, lexicon

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the word there is the other author's)."""
        tail = context[-LOOK_BACK:]
        text, before = tail + chunk, len(tail)
        spans = self.lexicon.style_spans(text)
        begun = self.lexicon.begun_phrase(text)
        if begun < len(text):
            spans = [*spans, (begun, len(text))]
        own = [(start, end) for start, end in words(text) if end > before]
        labels = token_labels(own, spans)
        foreign = FOREIGN_LABEL[self.role]
        return [
            (max(0, start - before), label == foreign) for (start, _), label in zip(own, labels, strict=True)
        ]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class EveryTokens:
    """Hands over after every `count` tokens of the active author; a word that this cuts in two goes to the
    next author."""

    count: int
    logprobs: int = 0
    """It needs none."""

    def foreign(self, number: int, logprobs: Sequence[float]) -> bool:
        """Whether token `number` (from 0) since its author took over is the other author's."""
        return number >= self.count

    def style(self, number: int) -> bool:
        """Whether token `number` of a whole thinking is the student's; the student begins."""
        return number // self.count % 2 == 0


class NeverPredictor:
    """Every word is the author's own."""

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, False) for every word."""
        return [(start, False) for start, _ in words(chunk)]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""
