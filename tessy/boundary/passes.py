"""When to ask a predictor that reads in passes, and may rest between them.

Who asks during a long pass waits for the next, and what is written meanwhile is not in the question. So
nobody asks until a pass can begin, and then all do, with all that has come. Nor does a long pass begin for
the first that comes: the others, who come a moment later, would wait for all of it and its rest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LONG_S = 0.01
"""How long a pass is with its rest that is waited for. During shorter ones the next is prepared."""
RECENT = 32
"""Passes over which their cost is averaged."""
QUORUM = 0.5
"""The share of those who write for a predictor that must have come before a long pass begins."""


@dataclass(slots=True)
class _Cost:
    """Seconds of a pass by the tokens read in it: means over the recent ones, and least squares."""

    passes: int = 0
    questions: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0
    variance: float = 0.0
    covariance: float = 0.0

    def learn(self, questions: int, tokens: int, seconds: float) -> None:
        self.passes = min(RECENT, self.passes + 1)
        gain = 1 / self.passes
        more, longer = tokens - self.tokens, seconds - self.seconds
        self.questions += gain * (questions - self.questions)
        self.tokens += gain * more
        self.seconds += gain * longer
        self.variance += gain * ((1 - gain) * more * more - self.variance)
        self.covariance += gain * ((1 - gain) * more * longer - self.covariance)

    @property
    def fixed_tokens(self) -> float:
        if self.covariance <= 0 or self.questions < 1:
            return math.inf
        in_tokens = self.seconds * self.variance / self.covariance
        return max(0.0, in_tokens - self.tokens) / self.questions


class Passes:
    """The passes of one predictor, as those who ask see them; it rests `rest` times as long as each took."""

    def __init__(self, rest: float) -> None:
        self.period_s: float | None = None
        """From a pass to the next: 0 where nobody waits for one, None before the first."""
        self._rest, self._taken = rest, False
        self._cost = _Cost()
        self._writing = self._asking = 0
        self._open = asyncio.Event()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Meanwhile a trace is written that the predictor will be asked about."""
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1
            self._settle()

    def began(self) -> None:
        """All that was asked is on its way."""
        self._taken = bool(self.period_s)
        self._settle()

    @property
    def fixed_tokens(self) -> float:
        """How many tokens more of each question would take as long as the pass itself does, without them;
        infinite as long as tokens are not seen to cost anything."""
        return self._cost.fixed_tokens

    def ended(self, seconds: float, *, questions: int, tokens: int, more: bool) -> None:
        """A pass took so long; `more` says that some still wait for an answer."""
        self._cost.learn(questions, tokens, seconds)
        period_s = (1 + self._rest) * seconds
        self.period_s = period_s if period_s >= LONG_S else 0.0
        if more and self.period_s:
            return
        self._taken = bool(self._rest and self.period_s)
        if self._taken:
            # One timer for all: who wakes a little later than another would miss the pass.
            asyncio.get_running_loop().call_later(self._rest * seconds, self._rested)
        self._settle()

    def _rested(self) -> None:
        self._taken = False
        self._settle()

    def _settle(self) -> None:
        if self._taken or (self.period_s and self._asking < QUORUM * self._writing):
            self._open.clear()
        else:
            self._open.set()

    async def free(self) -> None:
        """Returns when a pass can begin, and enough have come for it."""
        self._asking += 1
        self._settle()
        try:
            await self._open.wait()
        finally:
            self._asking -= 1
