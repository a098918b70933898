"""When to ask a predictor that reads in passes, and may rest between them.

Who asks during a long pass waits for the next, and what is written meanwhile is not in the question. So
nobody asks until a pass can begin, and then all do, with all that has come.
"""

from __future__ import annotations

import asyncio

LONG_S = 0.01
"""How long a pass is with its rest that is waited for. During shorter ones the next is prepared."""


class Passes:
    """The passes of one predictor, as those who ask see them; it rests `rest` times as long as each took."""

    def __init__(self, rest: float) -> None:
        self._rest, self._long = rest, False
        self._open = asyncio.Event()
        self._open.set()

    def began(self) -> None:
        """All that was asked is on its way."""
        if self._long:
            self._open.clear()

    def ended(self, seconds: float, *, more: bool) -> None:
        """A pass took so long; `more` says that some still wait for an answer."""
        self._long = (1 + self._rest) * seconds >= LONG_S
        if more and self._long:
            return
        if self._rest and self._long:
            # One timer for all: who wakes a little later than another would miss the pass.
            self._open.clear()
            asyncio.get_running_loop().call_later(self._rest * seconds, self._open.set)
        else:
            self._open.set()

    async def free(self) -> None:
        """Returns when a pass can begin."""
        await self._open.wait()
