"""Traces in a boundary predictor's own ids, and what must be read so that a chunk of one can be judged.

Bookkeeping alone: nothing is computed here, so that one pass can run while the next is prepared. A token's
label is decided once, when it is first asked about; every half window the half before is read again, for
context alone (`tessy.boundary.windows`). Text is tokenised once, too: ids are final up to the last white
space inside the accepted text.

Not covered: the passes themselves (`tessy.boundary.predictor`, `tessy.boundary.graphs`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tessy.boundary.windows import window_start
from tessy.chat.words import stable_words
from tessy.engines.kv_slots import common_prefix


@dataclass(slots=True)
class Reading:
    """One trace in the predictor's ids.

    Ids up to `settled` characters are final: `ids[:final]`. `style[i]` is the probability that the
    token after `ids[i]` is style, NaN where nobody asked. Row `row` holds `ids[start:held]`.
    """

    row: int
    ids: list[int] = field(default_factory=list)
    style: list[float] = field(default_factory=list)
    settled: int = 0
    final: int = 0
    start: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one pass reads of a trace: `ids` from position `begin` on, for a window that starts at `start`.

    Before `asked` they are context, judged in another window.
    """

    start: int
    begin: int
    asked: int
    ids: list[int]


@dataclass(slots=True)
class Question:
    """A chunk to judge: where its tokens start in it (`offsets`), and the stretches still to be read."""

    reading: Reading
    offsets: list[int]
    stretches: deque[Stretch]

    def answer(self) -> list[tuple[int, float]]:
        """(offset in the chunk, probability of style) of its tokens, a trace's very first left out."""
        first = len(self.reading.ids) - len(self.offsets)
        return [(at, self.reading.style[i - 1]) for i, at in enumerate(self.offsets, first) if i > 0]


class Flight(Protocol):
    """A pass under way."""

    def ready(self) -> bool:
        """Whether `land` would return at once."""

    def land(self) -> list[list[float]]:
        """The probability of style behind every id, feed by feed; waits for it."""


class Reader(Protocol):
    """A token classifier over a pooled key-value cache."""

    def launch(self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]) -> Flight:
        """Take `feeds[i]` in at position `starts[i]` of row `rows[i]`; rows must differ."""


class Readings:
    """Up to `slots` live traces, by sample id, read with `tokenizer` in windows of `window_tokens`."""

    def __init__(self, tokenizer: Any, window_tokens: int, slots: int) -> None:
        self._tokenizer, self._window_tokens = tokenizer, window_tokens
        self._free = list(range(slots))[::-1]
        self._live: dict[str, Reading] = {}
        self.tokens_read = 0

    def ask(self, sample_id: str, context: str, chunk: str) -> Question:
        """`chunk` of a trace as a question; `context` is the accepted text before it and may only grow."""
        reading = self._reading(sample_id)
        offsets = self._take_in(reading, context, chunk)
        return Question(reading, offsets, deque(self._stretches(reading, len(offsets))))

    def release(self, sample_id: str) -> None:
        """Forget a trace that is complete."""
        reading = self._live.pop(sample_id, None)
        if reading is not None:
            self._free.append(reading.row)

    def launch(self, reader: Reader, questions: Sequence[Question]) -> tuple[Flight, Callable[[], None]]:
        """One pass over the next stretch of each question; the second result lands it and takes it down."""
        pairs = [(question, question.stretches.popleft()) for question in questions]
        flight = reader.launch(
            [question.reading.row for question, _ in pairs],
            [stretch.begin - stretch.start for _, stretch in pairs],
            [stretch.ids for _, stretch in pairs],
        )

        def take_down() -> None:
            for (question, stretch), style in zip(pairs, flight.land(), strict=True):
                end = stretch.begin + len(stretch.ids)
                question.reading.style[stretch.asked : end] = style[stretch.asked - stretch.begin :]
                self.tokens_read += len(stretch.ids)

        return flight, take_down

    def _reading(self, sample_id: str) -> Reading:
        if sample_id not in self._live:
            if not self._free:
                raise RuntimeError("more live traces than slots: the scheduler admitted too many")
            self._live[sample_id] = Reading(self._free.pop())
        return self._live[sample_id]

    def _take_in(self, reading: Reading, context: str, chunk: str) -> list[int]:
        """Bring the ids up to date; the offsets in `chunk` of the tokens that reach into it."""
        rest = context[reading.settled :]
        split = len(rest) - len(stable_words(rest)[-1])
        sure = self._encode(rest[:split])[0] if split else []
        ids, offsets = self._encode(rest[split:] + chunk)
        before = len(rest) - split
        starts = [max(0, start - before) for start, end in offsets if end > before]
        new = [*sure, *ids]
        kept = common_prefix(reading.ids[reading.final :], new)
        same = reading.final + kept
        reading.ids[same:] = new[kept:]
        del reading.style[same:]
        reading.held = min(reading.held, same)
        reading.final += len(sure)
        reading.settled += split
        return starts

    def _encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of a text, and where in it each one starts and ends."""
        encoded = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return encoded.ids, encoded.offsets

    def _stretches(self, reading: Reading, own: int) -> list[Stretch]:
        """What must be read, in this order, so that every one of the last `own` tokens can be judged."""
        end = len(reading.ids) - 1
        reading.style += [math.nan] * (end - len(reading.style))
        position = max(0, end - own)
        while position < end and not math.isnan(reading.style[position]):
            position += 1
        out = []
        while position < end:
            start = window_start(position, self._window_tokens)
            stop = min(end, _next_change(position, self._window_tokens))
            begin = min(reading.held, position) if reading.start == start else start
            out.append(Stretch(start, begin, position, reading.ids[begin:stop]))
            reading.start, reading.held, position = start, stop, stop
        return out


def _next_change(position: int, window_tokens: int) -> int:
    """The first position after `position` whose window starts elsewhere."""
    half = window_tokens // 2
    return max(2, position // half + 1) * half
