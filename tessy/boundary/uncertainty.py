"""A switch by the active model's uncertainty: a token of which it was unsure belongs to the other author.

A student may be unsure because it lacks a capability: the teacher takes over. A teacher is mostly unsure of
wording: a capable model has little choice about the next number or symbol, and much about a connective, an
opening, a hesitation; so the student takes over. This is a hypothesis with a known weakness: a student is
also unsure where it merely has a choice of words. The stage `switches` measures how well it works.

Entropy is computed over the `LIKELIEST` most probable tokens, renormalised, because servers return no more
of a distribution; so it is the same with every engine. It is at most ln 8, about 2.08 nats. Margin is the
probability of the likeliest token minus that of the second. Both are of the model's own distribution, before
temperature and top-k/top-p. Pure.

Not covered: text that the active model has not written itself, except the miniature's gold thinkings
(`tessy.generation.token_logprobs`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tessy.config.switches import LIKELIEST


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """A token is the other author's where its distribution's entropy (nats) is above `limit`, or its margin
    (a probability) below."""

    measure: Literal["entropy", "margin"]
    limit: float

    @property
    def logprobs(self) -> int:
        """How many log-probabilities it needs with every token."""
        return LIKELIEST if self.measure == "entropy" else 2

    def foreign(self, number: int, logprobs: Sequence[float]) -> bool:
        """Whether the token is the other author's, given the largest log-probabilities at its position in
        descending order. `number` is not used."""
        if self.measure == "entropy":
            return entropy(logprobs[:LIKELIEST]) > self.limit
        return margin(logprobs) < self.limit


def entropy(logprobs: Sequence[float]) -> float:
    """Entropy in nats of the given tokens, renormalised."""
    weights = [math.exp(given - logprobs[0]) for given in logprobs]
    total = sum(weights)
    return math.log(total) - sum(w * math.log(w) for w in weights if w) / total


def margin(logprobs: Sequence[float]) -> float:
    """Probability of the first minus that of the second, or the first's if there is only one."""
    return math.exp(logprobs[0]) - (math.exp(logprobs[1]) if len(logprobs) > 1 else 0.0)
