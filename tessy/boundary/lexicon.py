"""Marks style in thinking with a phrase lexicon: an annotator that needs no model.

A lexicon is a text file, one phrase per line; lines that start with `#` are comments. `*` at the end of
a phrase stands for everything up to the end of its sentence. Matching is case-sensitive and ignores the
kind of white space. Phrases match at word boundaries and include the punctuation that follows them.

Not covered: annotation by a language model (`annotators`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tessy.boundary.labels import StyleSpan
from tessy.errors import UserError


class Lexicon:
    """Phrases compiled into one pattern."""

    def __init__(self, phrases: Iterable[str]) -> None:
        listed = {phrase.strip() for phrase in phrases if phrase.strip()}
        if not listed:
            raise UserError("lexicon: no phrases in it; add one per line")
        patterns = sorted(map(_pattern, listed), key=len, reverse=True)
        every = (tuple(phrase.removesuffix("*").split()) for phrase in listed)
        self._beginnings = {phrase[:length] for phrase in every for length in range(1, len(phrase))}
        self._longest = max(map(len, self._beginnings), default=0)
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})[^\w\s]*")

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"lexicon {path}: cannot be read: {error}; check predictors.lexicon") from None
        return cls(line for line in lines if not line.startswith("#"))

    def style_spans(self, text: str) -> list[StyleSpan]:
        """Style spans in order; neighbours separated only by white space are merged."""
        spans: list[StyleSpan] = []
        for match in self._pattern.finditer(text):
            start = len(text[: match.start()].rstrip())
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], match.end())
            else:
                spans.append((start, match.end()))
        return spans

    def begun_phrase(self, text: str) -> int:
        """The offset at which an incomplete phrase at the end of `text` begins; the length of `text` if there
        is none."""
        at = [match.span() for match in re.finditer(r"\S+", text)][-self._longest :] if self._longest else []
        for first, (start, _) in enumerate(at):
            if tuple(text[begin:end] for begin, end in at[first:]) in self._beginnings:
                return start
        return len(text)


def _pattern(phrase: str) -> str:
    words = phrase.removesuffix("*").split()
    exact = r"\s+".join(re.escape(word) for word in words)
    return exact + (r"[^.!?\n]*" if phrase.endswith("*") else r"(?!\w)")
