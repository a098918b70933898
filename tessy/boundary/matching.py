"""From a language model's answer to exact spans of a segment: parse its JSON, locate every span in order.

Models copy text almost verbatim: quotes become typographic, line breaks become spaces, accents change
their encoding. Such differences are tolerated, and the resulting offsets are exact. Any other difference is
rejected with a reason (`Outcome`). Pure.

Not covered: which model is asked, and how often (`annotators`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Literal, get_args

from tessy.boundary.labels import StyleSpan

Outcome = Literal[
    "accepted",
    "accepted_with_prose",
    "empty_answer",
    "no_json",
    "truncated_json",
    "not_strings",
    "not_in_text",
    "wrong_order",
    "duplicate",
    "overlap",
]
"""What became of an answer. `accepted_with_prose`: there was text around the array, or an object. `no_json`:
no array at all; `truncated_json`: one that breaks off; `not_strings`: one of something else. A span that
cannot be located is not in the text (paraphrased), stands before the one listed before it, is listed
more often than it occurs, or shares text with the one before it."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ACCEPTED: frozenset[Outcome] = frozenset({"accepted", "accepted_with_prose"})


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer matched against its segment; `spans` are empty unless the outcome is `ACCEPTED`."""

    outcome: Outcome
    spans: tuple[StyleSpan, ...] = ()


def read_answer(answer: str, segment: str) -> Reading:
    """The spans of `segment` that `answer` marks, each with the white space before it."""
    outcome, listed = parse(answer)
    if outcome not in ACCEPTED:
        return Reading(outcome)
    failure, spans = locate(listed, segment)
    return Reading(failure) if failure else Reading(outcome, tuple(_with_space_before(spans, segment)))


def _with_space_before(spans: Sequence[StyleSpan], text: str) -> list[StyleSpan]:
    """Spans extended by the white space before them; spans that then touch are merged."""
    out: list[StyleSpan] = []
    for start, end in spans:
        start = len(text[:start].rstrip())
        if out and start <= out[-1][1]:
            start = out.pop()[0]
        out.append((start, end))
    return out


# The answer ---------------------------------------------------------------------------------------


def parse(answer: str) -> tuple[Outcome, list[str]]:
    """The strings of the JSON array in `answer`; empty unless the outcome is `ACCEPTED`."""
    text = answer.strip()
    if not text.startswith("["):
        # If the endpoint does not separate thinking from the answer, the answer is what follows the thinking.
        text = text.rpartition("</think>")[2].strip()
    if not text:
        return "empty_answer", []
    found: Outcome = "no_json"
    end = 0
    for start in (match.start() for match in re.finditer(r"\[", text)):
        if start < end:  # inside an array that was rejected: this bracket belongs to one of its strings
            continue
        try:
            array, end = _LENIENT.raw_decode(text, start)
        except (ValueError, RecursionError):  # which of them is raised differs between versions of Python
            if _depth(text[start:]) > DEEPEST:
                return "not_strings", []
            # A truncated array of strings; other brackets may be prose.
            if _STRINGS.match(text, start):
                return "truncated_json", []
            found = "truncated_json" if start == len(text) - 1 else found
            continue
        if _all_text(array):
            return ("accepted" if (start, end) == (0, len(text)) else "accepted_with_prose"), array
        found = "not_strings"
    return found, []


_LENIENT = json.JSONDecoder(strict=False)
"""Takes line breaks inside strings, which models write as they stand."""
DEEPEST = 100
"""Brackets inside brackets; what has more was written by a model that could not stop."""
_STRINGS = re.compile(r'\[\s*"')


def _depth(text: str) -> int:
    """The largest number of open brackets; brackets inside strings count, too."""
    steps = (1 if match[0] in "[{" else -1 for match in re.finditer(r"[][{}]", text))
    return max(accumulate(steps), default=0)


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)


# The text -----------------------------------------------------------------------------------------


def locate(listed: Sequence[str], text: str) -> tuple[Outcome | None, list[StyleSpan]]:
    """The spans of the `listed` strings in `text`, in order and without overlap, each as early as possible.

    Matches begin and end at word boundaries. Returns the fault and no spans, or None and the spans.
    """
    folded, keys = _Folded(text), set[str]()
    spans: list[StyleSpan] = []
    for span in listed:
        key, after = _fold(span.strip()), spans[-1][1] if spans else 0
        places = list(folded.find(key))
        match = next((place for place in places if place[0] >= after), None)
        if match is None:
            return _why_not(places, spans, key in keys), []
        spans.append(match)
        keys.add(key)
    return None, spans


def _why_not(places: Sequence[StyleSpan], spans: Sequence[StyleSpan], listed_before: bool) -> Outcome:
    if not places:
        return "not_in_text"
    if listed_before:
        return "duplicate"
    start, end = spans[-1]
    return "overlap" if any(p < end and start < q for p, q in places) else "wrong_order"


class _Folded:
    """A normalised text, with the offset in the original text of each character."""

    def __init__(self, text: str) -> None:
        self.text, self.characters = text, ""
        self.starts: list[int] = []
        self.ends: list[int] = []
        for match in re.finditer(r"\s+|\S", text):
            piece = _fold(match[0])
            self.characters += piece
            self.starts += [match.start()] * len(piece)
            self.ends += [match.end()] * len(piece)

    def find(self, key: str) -> Iterator[StyleSpan]:
        """Every occurrence of `key` between word boundaries, as offsets in the text."""
        at = self.characters.find(key) if key else -1
        while at >= 0:
            start, end = self.starts[at], self.ends[at + len(key) - 1]
            if self._whole(at, at + len(key)) and _border(self.text, start) and _border(self.text, end):
                yield start, end
            at = self.characters.find(key, at + 1)

    def _whole(self, begin: int, stop: int) -> bool:
        """Whether the span begins and ends between characters of the text: one may fold to several."""
        return (begin == 0 or self.starts[begin - 1] != self.starts[begin]) and (
            stop == len(self.characters) or self.starts[stop] != self.starts[stop - 1]
        )


def _border(text: str, at: int) -> bool:
    inside = 0 < at < len(text) and _in_word(text[at - 1]) and _in_word(text[at])
    return not inside


def _in_word(character: str) -> bool:
    # Marks are accents and, in many scripts, vowels.
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _fold(text: str) -> str:
    """Normalised text: runs of white space become one space, look-alikes become one character."""
    return "".join(_fold_character(c) for c in re.sub(r"\s+", " ", text))


@cache
def _fold_character(character: str) -> str:
    if character in _INVISIBLE:
        return ""
    return _LOOKALIKES.get(character) or unicodedata.normalize("NFKD", character).translate(_TABLE)


_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_LOOKALIKES = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
}
_TABLE = str.maketrans(_LOOKALIKES)
