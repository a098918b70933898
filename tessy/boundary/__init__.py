"""Boundary predictors: from a model's raw thinking to a switch between authors (paper, section 3).

Two protocols decide where an author's text ends: a `Predictor` reads it, a `TokenRule` goes by what is known
of each token when it is written. Not covered: what becomes of the answer (`tessy.synthesis`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Predictor(Protocol):
    """Says, token by token, what belongs to the other author."""

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's), for every token of `chunk`.

        `context` is the thinking accepted so far; of one sample it only grows.
        """

    def release(self, sample_id: str) -> None:
        """Forget a trace that is complete."""


class TokenRule(Protocol):
    """Says of an author's token, as it is written and whatever its text, whether it is the other author's."""

    @property
    def logprobs(self) -> int:
        """Log-probabilities it needs with every token."""

    def foreign(self, number: int, logprobs: Sequence[float]) -> bool:
        """`number` counts the tokens that the author has written since it took over, from 0; `logprobs` are
        the falling log-probabilities where the token was drawn, if any were asked for."""
