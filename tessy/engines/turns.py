"""Schedules models that share one thread: the model whose next pass has the most tokens runs next.

A pass for one trace costs almost as much as one for many, so waiting requests are batched as long as there is
other work. Only speed depends on this.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

SETTLE = 4
"""Passes of the event loop between two turns: who was handed something can have it judged and ask again."""


class Member(Protocol):
    """A model that takes turns."""

    @property
    def waiting(self) -> int:
        """The approximate number of tokens in its next pass; 0 if no request waits."""

    def step(self) -> None:
        """One pass for all waiting requests. If it raises, none of them waits any more."""


class Turns:
    """The models that share a thread, in one event loop. `busy_s` is how long their passes took so far."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._going: asyncio.Task[None] | None = None
        self.busy_s = 0.0

    def join(self, member: Member) -> None:
        self._members.append(member)

    def call(self) -> None:
        """A member has something to do."""
        if self._going is None or self._going.done():
            self._going = asyncio.create_task(self._go())

    async def _go(self) -> None:
        while True:
            for _ in range(SETTLE):
                await asyncio.sleep(0)
            first = max(self._members, key=lambda member: member.waiting)
            if not first.waiting:
                return
            began = time.perf_counter()
            try:
                first.step()
            except Exception:
                # Its own requests have been failed; the other models go on.
                logging.getLogger(__name__).exception("a pass of %s failed", type(first).__name__)
            self.busy_s += time.perf_counter() - began
