"""A switch by the active model's own uncertainty: a token that it was unsure of belongs to the other author.

What a student is unsure of, it may lack the capability for: the teacher takes over. What a teacher is unsure
of is mostly how to put a thing: a capable model has little choice about the next number or symbol, and much
about a connective, an opening, a hesitation; so the student takes over. That is a hypothesis, and the weak
side of it is plain: a student, too, is unsure where it has a choice of words. The report says how it fares.

Entropy is that of the `LIKELIEST` most probable tokens as if there were no others, because servers return no
more of a distribution; every engine gives the same. It is at most ln 8, about 2.08 nats. Margin is the
probability of the likeliest token less that of the second. Both are of the model's own distribution, before
temperature and cuts. Pure.

Not covered: text that the active model has not written itself, but for the miniature's gold thinkings
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
        """Log-probabilities it needs with every token."""
        return LIKELIEST if self.measure == "entropy" else 2

    def foreign(self, number: int, logprobs: Sequence[float]) -> bool:
        """Whether the token drawn where these falling log-probabilities held is the other author's, its
        `number` in the author's stretch regardless."""
        if self.measure == "entropy":
            return entropy(logprobs[:LIKELIEST]) > self.limit
        return margin(logprobs) < self.limit


def entropy(logprobs: Sequence[float]) -> float:
    """Of the tokens given, as if there were no others, in nats."""
    weights = [math.exp(given - logprobs[0]) for given in logprobs]
    total = sum(weights)
    return math.log(total) - sum(w * math.log(w) for w in weights if w) / total


def margin(logprobs: Sequence[float]) -> float:
    """Probability of the first less that of the second; all of it where there is but one."""
    return math.exp(logprobs[0]) - (math.exp(logprobs[1]) if len(logprobs) > 1 else 0.0)
