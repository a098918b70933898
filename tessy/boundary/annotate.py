"""Marks style in segments with a phrase lexicon: the free annotator.

A lexicon is a text file, one phrase per line; `#` starts a comment; `...` inside a phrase stands for
up to four words. Phrases match regardless of case and of the kind of white space, at word borders,
longest first, and take the punctuation behind them along.

Not covered: annotation by a language model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tessy.errors import UserError

StyleSpan = tuple[int, int]
"""Start and end offset of a stretch of style, white space before it included."""


class Lexicon:
    """Phrases compiled into one pattern."""

    def __init__(self, phrases: Iterable[str]) -> None:
        patterns = sorted({_pattern(phrase) for phrase in phrases if phrase.strip()}, key=len, reverse=True)
        if not patterns:
            raise UserError("lexicon: no phrases in it; add one per line")
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)[^\w\s]*", re.IGNORECASE)

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UserError(f"lexicon {path}: cannot be read: {error}; check predictors.lexicon") from None
        return cls(line.split("#", 1)[0].strip() for line in lines)

    def style_spans(self, text: str) -> list[StyleSpan]:
        """Stretches of style, in order; neighbours with only white space between them are one."""
        spans: list[StyleSpan] = []
        for match in self._pattern.finditer(text):
            start = len(text[: match.start()].rstrip())
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], match.end())
            else:
                spans.append((start, match.end()))
        return spans


def _pattern(phrase: str) -> str:
    parts = [re.escape(word) if word != "..." else r"\S+(?:\s+\S+){0,3}?" for word in phrase.split()]
    return r"\s+".join(parts).rstrip("\\,.!?:;")


def token_labels(offsets: Sequence[tuple[int, int]], style: Sequence[StyleSpan]) -> list[int]:
    """1 (style) or 0 (capability) per token, by the first character of it that is not white space-led.

    `offsets` are the tokens' (start, end) in the text. A token belongs to style if most of it lies in
    a style span.
    """
    labels = []
    for start, end in offsets:
        inside = sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in style)
        labels.append(int(2 * inside > end - start))
    return labels


def shifted(labels: Sequence[int], ignore: int = -100) -> list[int]:
    """Label at token i speaks of token i + 1 (paper): one pass also decides what comes next."""
    return [*labels[1:], ignore]
