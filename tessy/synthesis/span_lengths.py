"""How far a continuation is worth opening, from how long its author's last spans were.

What an author writes past a boundary is thrown away, and while its text is on its way to the predictor it
writes on. Where that is little, because judging is quick, continuations are opened as long as allowed. Where
it is much, one that ends about where spans usually do wastes little; one that ends too early costs another
request. How often to look follows from the same: no more often than answers come. A predictor that reads in
passes is asked late, and about as much as is worth its time. Only speed depends on this: a trace is the same
for any length of continuations, and for any interval.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from tessy.records import Role
from tessy.synthesis.cooperation import Turn

LOOK_AHEAD = 2
"""Tokens behind a boundary by which it is seen: its word must be whole."""
LEAST = 4
"""Tokens between two looks at the least: each costs this process some time, however quick the answer."""
UNKNOWN = 8
"""Tokens before the first question to a predictor of which nothing is known: its pass may be a long one."""

ASKED_AFTER = 0.4
"""The part of a predictor's time from pass to pass for which a continuation is written before it is asked
about; below half, so that a trace can be in a pass of the one and then of the other."""
DEVIATION = 0.6
"""The deviation of lengths that are distributed exponentially is 2/e of their mean; with a little less
questions are a little longer, which was faster in the simulation (`tessy bench scheduling`)."""
MOST_BEYOND = 5.0
"""Deviations beyond the mean at most: an engine that is busy pays for all that is thrown away."""
RECENT = 32
"""Spans over which their lengths are averaged."""


@dataclass(slots=True)
class _Length:
    """Running mean of span lengths and of their distance from it, in tokens. They come from all samples, so
    that what differs from one to the next is chance, not news."""

    mean: float
    deviation: float
    known: int = 1

    def learn(self, tokens: int) -> None:
        self.known = min(RECENT, self.known + 1)
        self.deviation += (abs(tokens - self.mean) - self.deviation) / self.known
        self.mean += (tokens - self.mean) / self.known


@dataclass(slots=True)
class _Mean:
    """A running mean, None before the first value."""

    value: float | None = None

    def learn(self, value: float) -> None:
        self.value = value if self.value is None else self.value + (value - self.value) / 16


class Pace:
    """How many tokens an author writes while a judgement is awaited, learnt from all samples of a run."""

    def __init__(self) -> None:
        self._judged = _Mean()
        self._token: dict[Role, _Mean] = {}

    def judged(self, seconds: float) -> None:
        """A chunk was judged after so long, the wait for its turn included."""
        self._judged.learn(seconds)

    def wrote(self, author: Role, tokens: int, seconds: float) -> None:
        """A continuation had so many tokens so long after it was opened."""
        self._token.setdefault(author, _Mean()).learn(seconds / max(1, tokens))

    def behind(self, author: Role) -> float:
        """Tokens written during one judgement; 0 where nothing is known."""
        return self.within(author, self._judged.value or 0.0)

    def within(self, author: Role, seconds: float) -> float:
        """Tokens written in `seconds`; 0 where nothing is known."""
        token = self._token.get(author, _Mean()).value
        return seconds / token if token else 0.0

    def interval(self, author: Role, most: int) -> int:
        """Tokens after which to look at a continuation for the first time."""
        return min(most, max(LEAST, round(self.behind(author))))

    def least(self, author: Role, period_s: float | None) -> int:
        """The same for a predictor whose passes come every `period_s`, if that is known: what is asked too
        early has little in it, and the answer to more is a period away."""
        if period_s is None:
            return UNKNOWN
        return max(LEAST, round(ASKED_AFTER * self.within(author, period_s)))


class SpanLengths:
    """Learns from all samples of a run, for each author."""

    def __init__(self) -> None:
        self._lengths: dict[Role, _Length] = {}
        self._so_far: dict[str, int] = {}

    def took(self, sample_id: str, turn: Turn) -> None:
        """A watched turn was accepted; a boundary ends its author's span."""
        length = self._so_far.pop(sample_id, 0) + len(turn.ids)
        if turn.ended_by == "chunk":
            self._so_far[sample_id] = length
        elif turn.ended_by == "boundary" and turn.author in self._lengths:
            self._lengths[turn.author].learn(length)
        elif turn.ended_by == "boundary":
            self._lengths[turn.author] = _Length(length, length / 2)

    def worth_asking(self, author: Role, fixed_tokens: float) -> int:
        """Tokens of a continuation that are worth a predictor's time in one pass, which itself takes as long
        as `fixed_tokens` of each question do.

        Of spans whose lengths are distributed exponentially with mean m a question of k tokens finds
        m * (1 - exp(-k/m)). By what it costs, fixed_tokens + LOOK_AHEAD + k, that is most where exp(x) is
        1 + x + (fixed_tokens + LOOK_AHEAD) / m, with x = k/m. So x - 1 says how far to go beyond the mean.
        """
        length = self._lengths.get(author)
        if length is None or fixed_tokens == math.inf:
            return sys.maxsize
        ratio, beyond = (fixed_tokens + LOOK_AHEAD) / max(1.0, length.mean), 1.0
        for _ in range(8):
            beyond = math.log(1 + beyond + ratio)
        worth = length.mean + (beyond - 1) * length.deviation / DEVIATION
        return max(LEAST, LOOK_AHEAD + math.ceil(worth))

    def continuation_tokens(self, author: Role, chunk: int, most: int) -> int:
        """Tokens to ask for: whole chunks, as many as most spans need, at least one and up to `most`."""
        length = self._lengths.get(author)
        if length is None:
            return most
        chunks = round((length.mean + length.deviation + LOOK_AHEAD) / chunk)
        return min(most, chunk * max(1, chunks))

    def continuation_tokens_behind(self, author: Role, most: int, behind: float) -> int:
        """The same where `behind` tokens are written during a judgement. Fewer than the lengths of spans
        differ by are worth no early end; of many, the request that an early end costs takes as long."""
        length = self._lengths.get(author)
        if length is None or behind <= length.deviation:
            return most
        beyond = length.deviation * min(MOST_BEYOND, max(1.0, behind / max(1.0, length.mean)))
        return min(most, math.ceil(length.mean + beyond + LOOK_AHEAD))
