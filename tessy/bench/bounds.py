"""What bounds cooperative synthesis, taken apart: predictors at no cost, and predictors without synthesis.

With `InstantPredictor` a run costs what engines, requests and scheduling cost. `reading` keeps real
predictors as busy as synthesis does while engines do something else: what a shared device costs.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from tessy.boundary import Predictor
from tessy.records import Role

PIECE_TOKENS = 8
"""New tokens of a question about a trace."""


class InstantPredictor:
    """Has a boundary about every `every` words, decided by the word alone, at no cost."""

    busy_s = 0.0

    def __init__(self, role: Role, every: float) -> None:
        self._salt, self._below = role.encode(), int(2**32 / every)

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        return [
            (word.start(), zlib.crc32(self._salt + word[0].strip().encode()) < self._below)
            for word in re.finditer(r"\s*\S+", chunk)
        ]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


@asynccontextmanager
async def reading(predictors: Mapping[Role, Predictor], texts: Sequence[str]) -> AsyncIterator[None]:
    """While this is open every predictor reads along in `texts`, a piece of each at a time, over and over."""

    async def follow(predictor: Predictor, number: int, words: list[str]) -> None:
        while True:
            name = f"beside-{number}"
            for at in range(0, len(words), PIECE_TOKENS):
                before, piece = (
                    "".join(f" {word}" for word in part)
                    for part in (words[:at], words[at : at + PIECE_TOKENS])
                )
                await predictor.foreign(name, before, piece)
            predictor.release(name)

    tasks = [
        asyncio.create_task(follow(predictor, number, text.split()))
        for predictor in predictors.values()
        for number, text in enumerate(texts)
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What was asked is answered before the next run asks for the same rows.
        for predictor in predictors.values():
            for number in range(len(texts)):
                predictor.release(f"beside-{number}")
