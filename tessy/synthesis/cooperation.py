"""Algorithm 1 of the paper as pure rules: what to keep of a chunk, and who writes next.

The state of a trace is whose turn it is and what the last turns left open. The active model proposes a
chunk; its boundary predictor finds the first character that belongs to the other kind of token;
the text before it is kept, the rest is rolled back, and the other model takes over.

Three rules make the result independent of how the text was cut into chunks:
- A chunk that ends inside a word is kept only up to that word; the rest waits for the next chunk.
- A hand-over inside a word drops the whole word (the paper's rule for different vocabularies), and
  white space goes with the word that follows it.
- Hand-overs without a word between them could repeat forever: a model that takes over from one that
  kept nothing writes at least one word.

Not covered: engines, predictors, journals and clocks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from tessy.config.methods import Method
from tessy.records import Role, Span, SpanEnd, SpanKind, other

Part = Literal["thinking", "answer"]
TurnEnd = Literal["chunk", "boundary", "end", "length", "repetition", "stray"]
HandOver = Literal["drop", "extend"]
"""A word that a boundary falls into: dropped whole (paper), or kept whole (the authors' release)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How many characters of a chunk to `keep`, and whether the author changes, the part ends, or neither."""

    keep: int
    hand_over: bool = False
    end: bool = False


def cut(
    chunk: str, foreign_at: int | None, *, ended: bool, stalled: bool, hand_over: HandOver = "drop"
) -> Cut:
    """Decide what to keep of `chunk`, and what happens next.

    `foreign_at` is the offset of the first token of the other kind, None where there is none;
    `ended` says that the author closed the part after this text; `stalled` that the turn before
    kept nothing (callers then ask for a boundary after `first_word_end`).
    """
    if foreign_at is not None:
        if hand_over == "extend":
            return Cut(_next_space(chunk, foreign_at), hand_over=True)
        keep = whole_words(chunk, foreign_at)
        if stalled and not keep:
            keep = first_word_end(chunk)
        return Cut(keep, hand_over=True)
    if ended:
        return Cut(len(chunk), end=True)
    return Cut(whole_words(chunk, len(chunk)))


def first_foreign(labels: list[tuple[int, bool]], chunk: str, *, stalled: bool) -> int | None:
    """The first offset whose label says "other kind"; `labels` are (offset, is foreign) in order."""
    start = first_word_end(chunk) if stalled else 0
    return next((offset for offset, foreign in labels if foreign and offset >= start), None)


def whole_words(text: str, at: int) -> int:
    """The largest offset up to `at` that splits no word, without the white space before it.

    At the end of the text the next character is unknown, so a last word there counts as unfinished.
    """
    while at > 0 and _joined(text, at):
        at -= 1
    return len(text[:at].rstrip())


def _next_space(text: str, at: int) -> int:
    """The first white space after the word at `at`, or the end."""
    word = at + len(text[at:]) - len(text[at:].lstrip())
    return next((i for i in range(word, len(text)) if text[i].isspace()), len(text))


def first_word_end(text: str) -> int:
    """The end of the first word of `text`; at least one character, unless there is only white space."""
    at = len(text) - len(text.lstrip()) + 1
    while at < len(text) and _joined(text, at):
        at += 1
    return min(at, len(text))


def _joined(text: str, at: int) -> bool:
    """Whether a split at `at` could cut a word in two."""
    return _in_word(text[at - 1]) and (at == len(text) or _in_word(text[at]))


def _in_word(character: str) -> bool:
    # Scripts without spaces: every character may end a word.
    if unicodedata.east_asian_width(character) in "WF":
        return False
    # Marks are accents and, in many scripts, vowels; joiners occur inside words.
    is_mark = unicodedata.category(character).startswith("M")
    return character.isalnum() or is_mark or character in "_\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Turn:
    """One accepted step of a trace. Token counts are the author's own.

    `text` may be empty: a turn that kept nothing still changed the author. `ids` are the author's
    ids for `text`; `held` are the proposed ids after it whose last word may be incomplete: the author's
    next chunk begins with them; `discarded` is the text that was rolled back.
    """

    part: Part
    author: Role
    text: str
    ids: tuple[int, ...]
    held: tuple[int, ...]
    generated: int
    rolled_back: int
    ended_by: TurnEnd
    discarded: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The state of a trace: the part being written (None when it is finished), whose turn it is, which
    model will answer, whether the author has written since taking over (`wrote`), and whether it took
    over from one that had written nothing (`passed`)."""

    part: Part | None
    author: Role
    answer_author: Role
    wrote: bool = False
    passed: bool = False

    @classmethod
    def at_start(cls, method: Method) -> State:
        """The state at the start: the student begins, with a style phrase, where both think (paper)."""
        if method.thinking is None:
            return cls("answer", method.answer, method.answer)
        return cls("thinking", "student" if method.thinking == "both" else method.thinking, method.answer)

    @property
    def stalled(self) -> bool:
        """Whether the author has written nothing yet and took over from one that had written nothing."""
        return self.passed and not self.wrote

    def then(self, turn: Turn) -> State:
        wrote = self.wrote or bool(turn.text)
        if turn.ended_by in ("length", "repetition", "stray"):
            return replace(self, part=None, wrote=wrote)
        if turn.ended_by == "end":
            part: Part | None = "answer" if self.part == "thinking" else None
            return State(part, self.answer_author, self.answer_author)
        if turn.ended_by == "boundary":
            return State(self.part, other(self.author), self.answer_author, passed=not wrote)
        return replace(self, wrote=wrote)


def spans(turns: Sequence[Turn], *, cooperative: bool, closing: Span | None) -> list[Span]:
    """The turns merged into spans, one per run of an author's turns; `closing` goes between the parts."""
    out: list[Span] = []
    for (part, author), group in groupby(_writing(turns), key=lambda turn: (turn.part, turn.author)):
        if part == "answer" and closing:
            out.append(closing)
            closing = None
        stretch = list(group)
        out.append(
            Span(
                author,
                _kind(part, author, cooperative),
                "".join(turn.text for turn in stretch),
                sum(len(turn.ids) for turn in stretch),
                _SPAN_END[part, stretch[-1].ended_by],
                "".join(turn.discarded for turn in stretch),
            )
        )
    return out


def _writing(turns: Sequence[Turn]) -> Iterator[Turn]:
    """Turns with text, and those that end a part; turns without text make no span."""
    for (_, _), group in groupby(turns, key=lambda turn: (turn.part, turn.author)):
        stretch = list(group)
        if any(turn.text for turn in stretch):
            yield from stretch


_SPAN_END: dict[tuple[Part, TurnEnd], SpanEnd] = {
    ("thinking", "boundary"): "boundary",
    ("thinking", "chunk"): "length",
    ("thinking", "end"): "end_of_thinking",
    ("thinking", "length"): "length",
    ("thinking", "repetition"): "repetition",
    ("answer", "chunk"): "length",
    ("answer", "end"): "end_of_answer",
    ("answer", "length"): "length",
    ("answer", "repetition"): "repetition",
    ("answer", "stray"): "stray",
}


def _kind(part: Part, author: Role, cooperative: bool) -> SpanKind:
    if part == "answer":
        return "answer"
    if not cooperative:
        return "thinking"
    return "style" if author == "student" else "capability"
