"""Clusters of equal and near-equal problems, and which row of each stays. Works on arrays, which may be
memory maps.

Nothing depends on the order of the rows, apart from the rule `first`.

Not covered: duplicates in meaning, which an embedding may find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates, KeepRule
from tessy.curation.chunks import Sketches


@dataclass(frozen=True, slots=True)
class Kept:
    """`by` int64 (n,): the row that stands for each row, itself where it stays. `similarity` float32 (n,):
    the estimated Jaccard similarity to it, 1 for the same normalised text."""

    by: NDArray[np.int64]
    similarity: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which rows stay."""
        return self.by == np.arange(len(self.by))


def clusters(
    sketches: Sketches, settings: Duplicates, progress: Callable[[str, float], None] | None = None
) -> NDArray[np.int64]:
    """The cluster of each row, int64 (n,), numbered from 0 in the order of their first rows.

    Rows are in one cluster if a chain of near-duplicates connects them: equal digests, or signatures that
    agree in a share of at least `settings.threshold`. `progress` is told what is done and which share of it.
    """
    raise NotImplementedError


def preference(rule: KeepRule, sketches: Sketches, sources: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of each row by the keep rule, int64 (n,), 0 stays first. `sources` has each row's position in
    the list of sources."""
    raise NotImplementedError


def keep(
    labels: NDArray[np.int64], ranks: NDArray[np.int64], sketches: Sketches, settings: Duplicates
) -> Kept:
    """Which rows stay: in each cluster the best by rank, then the best that is no near-duplicate of one that
    stays, and so on. A row that is only connected by a chain is thereby not lost.
    """
    raise NotImplementedError
