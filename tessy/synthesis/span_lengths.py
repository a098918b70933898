"""How far a continuation is worth opening, from how long its author's last spans were.

What an author writes past a boundary is thrown away, and while its text is on its way to the predictor it
writes on. A continuation that ends about where spans usually do wastes little of that; one that ends too
early costs another request. Only speed depends on this: a trace is the same for any reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from tessy.records import Role
from tessy.synthesis.cooperation import Turn

LOOK_AHEAD = 2
"""Tokens behind a boundary by which it is seen: its word must be whole."""


@dataclass(slots=True)
class _Length:
    """Running mean of span lengths and of their distance from it, in tokens; with the gains by which TCP
    estimates round trips (RFC 6298)."""

    mean: float
    deviation: float

    def learn(self, tokens: int) -> None:
        self.deviation += (abs(tokens - self.mean) - self.deviation) / 4
        self.mean += (tokens - self.mean) / 8


class SpanLengths:
    """Learns from all samples of a run, for each author."""

    def __init__(self) -> None:
        self._lengths: dict[Role, _Length] = {}
        self._so_far: dict[str, int] = {}

    def took(self, sample_id: str, turn: Turn) -> None:
        """A watched turn was accepted; a boundary ends its author's span."""
        length = self._so_far.pop(sample_id, 0) + len(turn.ids)
        if turn.ended_by == "chunk":
            self._so_far[sample_id] = length
        elif turn.ended_by == "boundary" and turn.author in self._lengths:
            self._lengths[turn.author].learn(length)
        elif turn.ended_by == "boundary":
            self._lengths[turn.author] = _Length(length, length / 2)

    def reach(self, author: Role, chunk: int, most: int) -> int:
        """Tokens to ask for: whole chunks, as many as most spans need, at least one and up to `most`."""
        length = self._lengths.get(author)
        if length is None:
            return most
        chunks = round((length.mean + length.deviation + LOOK_AHEAD) / chunk)
        return min(most, chunk * max(1, chunks))
