"""Engines: token ids in, token ids out. One protocol for every way of running a model.

An engine opens a continuation and extends it while the caller watches: the caller waits until the
continuation has a given length, and aborts it when it has enough. Requesting k tokens and waiting
for all of them is the same with another length.

In the transformers engine randomness is a function of (randomness, position), not of the order of work: the
token at a position is the same whether a span was written in one request or in ten, alone or in a batch,
before a crash or after it. So a resumed run equals an uninterrupted one. vLLM samples from a stateful
generator; there the ids that were produced are the record.

Not covered: text (`tessy.chat`), and which engine is asked when (`tessy.synthesis`).
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Request:
    """Continue `token_ids` by at most `max_tokens`, ending early after any of `stop_token_ids`
    (the usual one first).

    `sample_id` lets an engine keep what it knows of this sample's prefix (its KV cache, its replica);
    `randomness` names a sequence of random numbers, of which the absolute position picks one for every
    token. `check_interval_tokens` tells engines that report in pieces how many ids are worth a report.
    `logprobs` is how many of the likeliest tokens' log-probabilities to give with every id, at least; 0 for
    none. `schema` is a JSON schema, as JSON, that constrains the text of the new ids from its first character
    on; vLLM enforces it, other engines ignore it.
    """

    sample_id: str
    token_ids: Sequence[int]
    max_tokens: int
    stop_token_ids: tuple[int, ...]
    randomness: str
    check_interval_tokens: int = 1
    logprobs: int = 0
    schema: str | None = None


LOCKED = "locked"
"""The reason of a fault that no sample is to blame for and no waiting mends: the engine wants another key."""


class EngineFault(Exception):
    """An engine failed. This says nothing about the sample: the request should be retried.

    `reason` is a short name by which failures are counted; `unreachable` says that there was no answer, so
    that waiting for the engine is better than giving up the sample; `permanent` that the engine refused the
    request, so that retrying cannot help.
    """

    def __init__(
        self, reason: str, detail: str = "", *, unreachable: bool = False, permanent: bool = False
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.unreachable, self.permanent = reason, unreachable, permanent


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Statistics of an engine's prefix cache: of `prefix_tokens` prompt tokens, `prefix_hits` were cached;
    `kv_tokens` is the cache's capacity (None where unknown or unlimited)."""

    prefix_tokens: int = 0
    prefix_hits: int = 0
    kv_tokens: int | None = None


class Continuation:
    """New ids as they are written, including the stop token if one ends it.

    `logprobs[i]` are the log-probabilities (nats, descending) of the likeliest tokens at the position of
    `token_ids[i]`, before temperature and top-k/top-p; empty unless requested.

    The engine calls `push` and `fail`; the caller waits in `grown` and may `abort`. After an abort
    nothing more arrives. One caller waits at a time.
    """

    __slots__ = ("_fault", "_on_abort", "_size", "_waiter", "finish_reason", "logprobs", "token_ids")

    def __init__(self, on_abort: Callable[[], None] = lambda: None) -> None:
        self.token_ids: list[int] = []
        self.logprobs: list[Sequence[float]] = []
        self.finish_reason: FinishReason | None = None
        self._on_abort = on_abort
        self._fault: EngineFault | None = None
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    def push(
        self,
        token_ids: Sequence[int],
        finish_reason: FinishReason | None = None,
        logprobs: Sequence[Sequence[float]] = (),
    ) -> None:
        """Add ids; the last ones come with a `finish_reason`."""
        self.token_ids += token_ids
        self.logprobs += logprobs
        self.finish_reason = finish_reason
        if finish_reason or len(self.token_ids) >= self._size:
            self._wake()

    def fail(self, fault: EngineFault) -> None:
        """No more ids will come. Those pushed before remain valid."""
        self._fault = fault
        self._wake()

    async def grown(self, size: int) -> None:
        """Return once there are `size` ids or the continuation has ended; raises `EngineFault`."""
        self._size = size
        while self._fault is None and self.finish_reason is None and len(self.token_ids) < size:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._fault is not None:
            raise self._fault

    async def finished(self) -> Self:
        """Return once all ids are there; raises `EngineFault`."""
        await self.grown(sys.maxsize)
        return self

    def abort(self) -> None:
        """Stop: no more ids are needed."""
        if self.finish_reason is None and self._fault is None:
            self._on_abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None


class Engine(Protocol):
    """A model that continues token ids, many samples at once. Used from one event loop."""

    def open(self, request: Request) -> Continuation:
        """Start to continue one sample; continuations that are open at the same time are batched."""

    def release(self, sample_id: str) -> None:
        """Free what is kept for a sample that needs no more tokens."""

    async def stats(self) -> EngineStats:
        """Counts since the engine was made."""

    async def close(self) -> None:
        """Stop, and free what the engine holds."""


def uniform(randomness: str, position: int) -> float:
    """The random number in [0, 1) for sampling the token at `position`."""
    digest = hashlib.blake2b(f"{randomness}/{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
