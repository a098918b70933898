"""An engine that plays back given continuations: for tests, and to measure scheduling by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tessy.engines import Continuation, EngineStats, Request


class ScriptedEngine:
    """`script(token_ids)` names the whole continuation of a prefix; every pass of the event loop adds
    `check_interval_tokens` ids of it to each open request. `logprobs(token_id)` are the log-probabilities it
    gives with an id where they are asked for."""

    def __init__(
        self,
        script: Callable[[Sequence[int]], Sequence[int]],
        logprobs: Callable[[int], Sequence[float]] = lambda token_id: (0.0,),
    ) -> None:
        self._script, self._logprobs = script, logprobs

    def open(self, request: Request) -> Continuation:
        writing: asyncio.Handle | None = None
        new = list(self._script(request.token_ids)[: request.max_tokens])
        stop = next((i for i, token in enumerate(new) if token in request.stop_token_ids), None)
        if stop is not None:
            del new[stop + 1 :]

        def write(start: int) -> None:
            nonlocal writing
            end = min(start + request.check_interval_tokens, len(new))
            given = [self._logprobs(token) for token in new[start:end]] if request.logprobs else ()
            if end < len(new):
                writing = loop.call_soon(write, end)
                continuation.push(new[start:end], None, given)
            else:
                continuation.push(new[start:], "length" if stop is None else "stop", given)

        loop = asyncio.get_running_loop()
        writing = loop.call_soon(write, 0)
        continuation = Continuation(lambda: writing.cancel() if writing else None)
        return continuation

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""

    async def stats(self) -> EngineStats:
        return EngineStats()

    async def close(self) -> None:
        """Nothing is held."""
