"""Near-duplicates by meaning: which texts' vectors have a cosine of at least a threshold.

Every vector is compared with every other, a block with a block at a time: exact, and quadratic in the number
of texts. Vectors may be a memory map.

Not covered: making them (`tessy.curate.embedding`), and what becomes of near-duplicates
(`tessy.curation_rules.duplicates`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates
from tessy.curation_rules.duplicates import Rows, connected
from tessy.curation_rules.text import Hashes, normalise, runs

Half = NDArray[np.float16]
TOLERANCE = 1e-6
_PAIRS_AT_ONCE = 1 << 20
INSTRUCTIONS = 8
"""Common shingles in a row from which on they are boilerplate."""
BLOCK = 2048
"""Vectors that are compared with as many others at once."""
Search = Callable[[Half, Half, float], tuple[Rows, Rows]]
"""Positions in one block and in another of the pairs with a cosine of at least a number."""


def search(one: Half, other: Half, least: float) -> tuple[Rows, Rows]:
    """The pairs, found on the CPU."""
    here, there = np.nonzero(one.astype(np.float32) @ other.astype(np.float32).T >= least)
    return here, there


@dataclass(slots=True)
class Comparison:
    """All vectors compared with all, as far as it has come: `labels` int64 (m,) are components of what was
    found to be near, after the first `blocks` blocks have been compared with all."""

    labels: Rows
    blocks: int = 0

    @property
    def done(self) -> float:
        """The share of the pairs that have been compared."""
        left = max(0, len(self.labels) - self.blocks * BLOCK) / max(1, len(self.labels))
        return 1 - left * left

    def step(self, values: Half, threshold: float, near: Search = search) -> None:
        """Compare the next block with itself and with all that follow."""
        start, found = self.blocks * BLOCK, list[tuple[Rows, Rows]]()
        one = values[start : start + BLOCK]
        for begin in range(start, len(values), BLOCK):
            here, there = near(one, values[begin : begin + BLOCK], threshold - TOLERANCE)
            new = self.labels[here + start] != self.labels[there + begin]
            found.append((here[new] + start, there[new] + begin))
            if sum(len(rows) for rows, _ in found) > _PAIRS_AT_ONCE:
                self._connect(found)
                found = []
        self._connect(found)
        self.blocks += 1

    def _connect(self, found: list[tuple[Rows, Rows]]) -> None:
        if found:
            here, there = (np.concatenate(side) for side in zip(*found, strict=True))
            self.labels = connected(self.labels, here, there)


@dataclass(frozen=True, slots=True)
class Near:
    """What is near by its vector. `values` float16 (m, dimensions) are of length 1, `place` int64 (n,) says
    which of them is each row's, -1 where it has none, and `labels` int64 (m,) are the components."""

    values: Half
    place: Rows
    labels: Rows

    @property
    def pairs(self) -> tuple[Rows, Rows]:
        """Pairs of rows that connect what is near: each row with the first one of its component."""
        rows = np.flatnonzero(self.place >= 0)
        _, first, inverse = np.unique(self.labels[self.place[rows]], return_index=True, return_inverse=True)
        return rows, rows[first[inverse]]

    def cosines(self, row: np.int64, others: Rows) -> NDArray[np.float32]:
        """Of a row with others; 0 where one has no vector."""
        found, places = np.zeros(len(others), np.float32), self.place[others]
        there = places >= 0
        if self.place[row] >= 0:
            own = self.values[self.place[row]].astype(np.float32)
            found[there] = self.values[places[there]].astype(np.float32) @ own
        return found


def said(prompt: str, common: Hashes, settings: Duplicates) -> str:
    """What a vector is made of: the normalised text without what is boilerplate.

    Boilerplate are runs of at least `INSTRUCTIONS` shingles that are all `common`. Instructions around a
    problem are often longer than the problem, and would make all vectors alike.
    """
    normal = normalise(prompt)
    found = runs(normal, settings.ngram_words)
    if not len(common) or not len(found):
        return normal
    known = common[np.minimum(np.searchsorted(common, found), len(common) - 1)] == found
    ends = np.flatnonzero(np.diff(known, prepend=False, append=False))
    words = normal.split(" ")
    own, last = np.ones(len(words), bool), settings.ngram_words - 1
    for start, end in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
        if end - start >= INSTRUCTIONS:
            # A word at its edge belongs to a shingle that is not common, too.
            own[start + (last if start else 0) : end if end < len(known) else len(words)] = False
    return " ".join(word for word, kept in zip(words, own.tolist(), strict=True) if kept) or normal
