"""An engine that plays back given continuations: for tests, and to measure scheduling by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tessy.engines import Generation, Request


class ScriptedEngine:
    """`script(token_ids)` names the whole continuation of a prefix; requests get it piece by piece."""

    def __init__(self, script: Callable[[Sequence[int]], Sequence[int]]) -> None:
        self._script = script

    async def generate(self, request: Request) -> Generation:
        await asyncio.sleep(0)
        new: list[int] = []
        for token in self._script(request.token_ids):
            if len(new) == request.max_tokens:
                break
            new.append(token)
            if token in request.stop_token_ids:
                return Generation(new, "stop")
        return Generation(new, "length")

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""
