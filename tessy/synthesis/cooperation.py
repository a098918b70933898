"""Algorithm 1 of the paper as pure rules: what to keep of a chunk, and who writes next.

The state of a trace is the text accepted so far and whose turn it is. The active model proposes a
chunk; its boundary predictor names the first character that belongs to the other kind of token;
what stands before is kept, the rest is rolled back, and the other model takes over.

Three rules make the result independent of how the text was cut into chunks:
- A chunk that ends inside a word is kept only up to that word; the rest waits for the next chunk.
- A hand-over inside a word drops the whole word (the paper's rule for different vocabularies), and
  white space goes with the word that follows it.
- Two hand-overs in a row without a word between them would go on for ever: a model that takes over
  from one that kept nothing writes at least one word.

Engines, predictors, journals and clocks stay outside.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from tessy.records import Role, Span, SpanEnd, SpanKind, other

Part = Literal["thinking", "answer"]
TurnEnd = Literal["chunk", "boundary", "end", "length"]


@dataclass(frozen=True, slots=True)
class Cut:
    """`keep` characters of a chunk are accepted; then the author changes, the part ends, or neither."""

    keep: int
    hand_over: bool = False
    end: bool = False


def cut(chunk: str, foreign_at: int | None, *, ended: bool, stalled: bool) -> Cut:
    """Decide about `chunk`.

    `foreign_at` is the offset of the first token of the other kind, None where there is none;
    `ended` says that the author closed the part after this text; `stalled` that the turn before
    kept nothing (callers then ask for a boundary after `first_word_end`).
    """
    if foreign_at is not None:
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
    """The largest offset up to `at` that splits no word, white space before it left out.

    At the end of the text the next character is unknown, so a last word there counts as unfinished.
    """
    while at > 0 and _joined(text, at):
        at -= 1
    return len(text[:at].rstrip())


def first_word_end(text: str) -> int:
    """Where the first word of `text` ends; at least one character, unless there is none but space."""
    at = len(text) - len(text.lstrip()) + 1
    while at < len(text) and _joined(text, at):
        at += 1
    return min(at, len(text))


def _joined(text: str, at: int) -> bool:
    """Whether a split at `at` could cut a word in two."""
    return _in_word(text[at - 1]) and (at == len(text) or _in_word(text[at]))


def _in_word(character: str) -> bool:
    # Scripts written without spaces: every character may end a word.
    return (character.isalnum() or character == "_") and unicodedata.east_asian_width(character) not in "WF"


@dataclass(frozen=True, slots=True)
class Turn:
    """One accepted step of a trace. Token counts are the author's own.

    `text` may be empty: a turn that kept nothing still changed the author. `ids` are the author's
    ids for `text`; `held` are ids proposed behind it whose last word is not known to be whole, with
    which the author's next chunk begins.
    """

    part: Part
    author: Role
    text: str
    ids: tuple[int, ...]
    held: tuple[int, ...]
    generated: int
    rolled_back: int
    ended_by: TurnEnd


@dataclass(frozen=True, slots=True)
class Trace:
    """A response so far, as the turns that made it."""

    thinking_starts: Role
    answer_author: Role
    turns: tuple[Turn, ...] = ()

    @property
    def part(self) -> Part | None:
        """The part being written; None when the response is complete or was cut off."""
        if not self.turns:
            return "thinking"
        last = self.turns[-1]
        if last.ended_by == "length":
            return None
        if last.ended_by == "end":
            return "answer" if last.part == "thinking" else None
        return last.part

    @property
    def author(self) -> Role:
        """Whose turn it is."""
        if not self.turns:
            return self.thinking_starts
        last = self.turns[-1]
        if self.part == "answer":
            return self.answer_author
        return other(last.author) if last.ended_by == "boundary" else last.author

    @property
    def stalled(self) -> bool:
        """Whether the author has written nothing yet and took over from one that had written nothing."""
        runs: list[str] = [""]
        for turn in reversed(self.turns):
            if turn.ended_by == "boundary":
                if len(runs) == 2 or runs[0]:
                    break
                runs.append("")
            runs[-1] += turn.text
        return len(runs) == 2 and not any(runs)

    def text(self, part: Part) -> str:
        return "".join(turn.text for turn in self.turns if turn.part == part)

    def then(self, turn: Turn) -> Trace:
        return Trace(self.thinking_starts, self.answer_author, (*self.turns, turn))


def spans(trace: Trace, *, cooperative: bool, closing: Span | None) -> list[Span]:
    """The turns merged into spans, one per author and stretch; `closing` goes between the parts."""
    out: list[Span] = []
    for part in ("thinking", "answer"):
        if part == "answer" and closing and any(turn.part == "answer" for turn in trace.turns):
            out.append(closing)
        for turn in (turn for turn in trace.turns if turn.part == part):
            kind = _kind(turn, cooperative)
            ended_by = _SPAN_END.get((turn.part, turn.ended_by), "boundary")
            if out and (out[-1].author, out[-1].kind) == (turn.author, kind):
                last = out.pop()
                out.append(
                    Span(turn.author, kind, last.text + turn.text, last.tokens + len(turn.ids), ended_by)
                )
            elif turn.text:
                out.append(Span(turn.author, kind, turn.text, len(turn.ids), ended_by))
    return out


_SPAN_END: dict[tuple[str, str], SpanEnd] = {
    ("thinking", "end"): "end_of_thinking",
    ("answer", "end"): "end_of_answer",
    ("thinking", "length"): "length",
    ("answer", "length"): "length",
    ("thinking", "chunk"): "length",
    ("answer", "chunk"): "length",
}


def _kind(turn: Turn, cooperative: bool) -> SpanKind:
    if turn.part == "answer":
        return "answer"
    if not cooperative:
        return "thinking"
    return "style" if turn.author == "student" else "capability"
