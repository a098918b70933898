"""Boundary predictors: from a model's raw thinking to a switch between authors (paper, section 3).

Two protocols decide where an author's text ends: a `Predictor` classifies the text, a `TokenRule` uses only
what is known of each token when it is sampled. Not covered: what is done with the answer (`tessy.synthesis`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tessy.boundary.passes import Passes


class Predictor(Protocol):
    """Says of every token of a text whether it belongs to the other author."""

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's), for every token of `chunk`.

        `context` is the thinking accepted so far; within one sample it only grows.
        """

    def release(self, sample_id: str) -> None:
        """Free what is kept for a finished trace."""


@runtime_checkable
class InPasses(Protocol):
    """A predictor that reads in passes, which are waited for: until then more of the text may come."""

    passes: Passes


class TokenRule(Protocol):
    """Says of each sampled token, without reading its text, whether it belongs to the other author."""

    @property
    def logprobs(self) -> int:
        """How many log-probabilities it needs with every token."""

    def foreign(self, number: int, logprobs: Sequence[float]) -> bool:
        """`number` counts from 0 the tokens that the author has written since it took over; `logprobs` are
        the largest log-probabilities at the token's position in descending order, if any were requested."""
