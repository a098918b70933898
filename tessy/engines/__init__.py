"""Engines: token ids in, token ids out. One protocol for every way of running a model.

Randomness is a function of (stream, position), not of the order in which work happens to be
done: the token at a position is the same whether a span was written in one request or in ten, alone
or in a batch, before a crash or after it. That is what makes a resumed run equal an undisturbed one.

Not covered: text (`tessy.chat`), and who is asked when (`tessy.synthesis`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """vLLM's names: `top_k` 0 and `top_p` 1 switch the cuts off; temperature 0 is greedy."""

    temperature: float
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """Continue `token_ids` by at most `max_tokens`, ending early after any of `stop_token_ids`.

    `sample_id` lets an engine keep what it knows of this sample's prefix (its KV cache); `stream`
    names a sequence of random numbers, of which the absolute position picks one for every token.
    """

    sample_id: str
    token_ids: Sequence[int]
    max_tokens: int
    stop_token_ids: frozenset[int]
    stream: str


@dataclass(frozen=True, slots=True)
class Generation:
    """New ids, the stop token included where one ended it."""

    token_ids: list[int]
    finish_reason: Literal["stop", "length"]


class Engine(Protocol):
    """A model that continues token ids, many samples at once."""

    async def generate(self, request: Request) -> Generation:
        """Continue one sample; concurrent calls are batched."""

    def release(self, sample_id: str) -> None:
        """Forget what is kept for a sample that needs no more tokens."""


def uniform(stream: str, position: int) -> float:
    """The random number in [0, 1) that draws the token at `position`."""
    digest = hashlib.blake2b(f"{stream}/{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
