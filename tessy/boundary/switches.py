"""Ways to decide when the pen changes hands that need no training: baselines for the trained predictors.

All of them answer the question a trained predictor answers (`tessy.synthesis.drafts.Predictor`), word by
word: does this belong to the other author? What a word is judged by lies before its end, or within the
text at hand.

    lexicon       a word is style if a phrase of the lexicon covers it, capability otherwise
    every_words   the first n words of a thinking are the student's, the next n the teacher's, and so on
    never         nobody ever hands over: the student thinks alone

Not covered: entropy or margin of the active model (`uncertainty`), which no text tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tessy.boundary.labels import FOREIGN_LABEL, token_labels
from tessy.boundary.lexicon import Lexicon
from tessy.records import Role

LOOK_BACK = 400
"""Characters of context that a phrase may have begun in."""


def words(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every word, the white space before it left out."""
    return (match.span() for match in re.finditer(r"\S+", text))


class LexiconSwitch:
    """Style is what the lexicon lists, and what may yet become a phrase of it at the end of the text."""

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


class EveryWords:
    """Hands over after every `count` words, wherever that is."""

    def __init__(self, role: Role, count: int) -> None:
        self.role, self.count = role, count

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the word there is the other author's)."""
        goes_on = bool(context and chunk) and not context[-1].isspace() and not chunk[0].isspace()
        first = len(context.split()) - goes_on
        own: Role
        out = []
        for number, (start, _) in enumerate(words(chunk), start=first):
            own = "student" if number // self.count % 2 == 0 else "teacher"
            out.append((start, own != self.role))
        return out

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


class Never:
    """Every word is the author's own."""

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, False) for every word."""
        return [(start, False) for start, _ in words(chunk)]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""
