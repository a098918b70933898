"""Engines: token ids in, token ids out. One protocol for every way of running a model.

An engine opens a continuation and fills it while the caller looks on: the caller asks to be woken
once it has grown to a size, and aborts it when it has seen enough. Asking for k tokens and waiting
for all of them is the same thing with another size.

In the embedded engine randomness is a function of (randomness, position), not of the order in which
work happens to be done: the token at a position is the same whether a span was written in one request
or in ten, alone or in a batch, before a crash or after it. That is what makes a resumed run equal an
undisturbed one. vLLM draws as it goes; there the ids that were produced are the record.

Not covered: text (`tessy.chat`), and who is asked when (`tessy.synthesis`).
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
    token. `stride` tells engines that report in pieces how many ids are worth a report. `logprobs` is how
    many of the likeliest tokens' log-probabilities to give with every id, or more; 0 for none. `schema` is a
    JSON schema, as JSON, that the text of the new ids must keep to, from its first character on; vLLM sees to
    that, other engines take no notice.
    """

    sample_id: str
    token_ids: Sequence[int]
    max_tokens: int
    stop_token_ids: tuple[int, ...]
    randomness: str
    stride: int = 1
    logprobs: int = 0
    schema: str | None = None


LOCKED = "locked"
"""The reason of a fault that no sample is to blame for and no waiting mends: the engine wants another key."""


class EngineFault(Exception):
    """An engine could not do its work. It says nothing about the sample: asking again is right.

    `reason` is a short name that failures are counted by; `unreachable` says that nobody answered, so
    that waiting for the engine to come back is better than giving the sample up; `permanent` that the
    engine understood and refused, so that the same request will be refused again.
    """

    def __init__(
        self, reason: str, detail: str = "", *, unreachable: bool = False, permanent: bool = False
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.unreachable, self.permanent = reason, unreachable, permanent


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine says of its prefix cache: of `prefix_tokens` it was asked to continue, `prefix_hits`
    were known already; `kv_tokens` is how many it holds (None where that is not known or no limit)."""

    prefix_tokens: int = 0
    prefix_hits: int = 0
    kv_tokens: int | None = None


class Continuation:
    """New ids as they are written, the stop token included where one ends it.

    `logprobs[i]` are the log-probabilities (nats, falling) of the tokens that were likeliest where
    `token_ids[i]` was drawn, before temperature and cuts; empty unless the request asked for them.

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
        """More ids; `finish_reason` with the last of them."""
        self.token_ids += token_ids
        self.logprobs += logprobs
        self.finish_reason = finish_reason
        if finish_reason or len(self.token_ids) >= self._size:
            self._wake()

    def fail(self, fault: EngineFault) -> None:
        """No more ids will come. What was pushed before is still good."""
        self._fault = fault
        self._wake()

    async def grown(self, size: int) -> None:
        """Return once there are `size` ids, or all there will be; raises `EngineFault`."""
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
        """Nobody wants more of this."""
        if self.finish_reason is None and self._fault is None:
            self._on_abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None


class Engine(Protocol):
    """A model that continues token ids, many samples at once. Used from one event loop."""

    def open(self, request: Request) -> Continuation:
        """Start to continue one sample; what is open at the same time is batched."""

    def release(self, sample_id: str) -> None:
        """Forget what is kept for a sample that needs no more tokens."""

    async def stats(self) -> EngineStats:
        """Counts since the engine was made."""

    async def close(self) -> None:
        """Stop, and free what the engine holds."""


def uniform(randomness: str, position: int) -> float:
    """The random number in [0, 1) that draws the token at `position`."""
    digest = hashlib.blake2b(f"{randomness}/{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
