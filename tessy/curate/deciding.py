"""The second pass: which of the rows stay, from what the first pass left on disk. Only vectors need texts.

Rules apply in order: a row alone, duplicates, benchmarks, held out, caps. A row is counted under the first
that leaves it out. A problem goes if any of its duplicates is a benchmark's, and not only if the copy that
would stay is.

Not covered: selection (`tessy.curate.selecting`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.config.problems import Curation, ProblemSource
from tessy.curate.shards import Shards
from tessy.curation_rules.chunks import Sketches
from tessy.curation_rules.duplicates import clusters, keep, preference
from tessy.curation_rules.held_out import split
from tessy.curation_rules.selection import rank
from tessy.curation_rules.vectors import Near

SAME, NEAR, EMBEDDING = "same_text", "near_duplicate", "near_embedding"
BENCHMARK, HELD_OUT, CAP = "benchmark", "held_out", "cap"
OnProgress = Callable[[str, float], None]
ByVector = Callable[[Sketches, NDArray[np.int64]], Near]
"""What is near by its vector, of usable rows with their sketches and numbers."""


@dataclass(frozen=True, slots=True)
class Decided:
    """By row that no rule of the first pass removed, in order: its number among all rows (`rows`), the rule
    that leaves it out (`why`, empty where it stays), its source's position, its cluster, its digest, the row
    that stands for it (`by`, a number among all rows) and the similarity to that."""

    rows: NDArray[np.int64]
    why: NDArray[np.str_]
    sources: NDArray[np.int64]
    clusters: NDArray[np.int64]
    digests: NDArray[np.uint64]
    by: NDArray[np.int64]
    similarity: NDArray[np.float32]

    @property
    def staying(self) -> NDArray[np.int64]:
        """Places of the rows that stay."""
        return np.flatnonzero(self.why == "")


def decide(
    shards: Shards,
    curation: Curation,
    sources: Sequence[ProblemSource],
    seed: int,
    progress: OnProgress,
    by_vector: ByVector | None = None,
) -> Decided:
    """What becomes of every row that is usable by itself."""
    duplicates = curation.duplicates
    sketches, rows, origin = shards.sketches(duplicates.permutations if duplicates.near else 0)
    if not len(rows):
        none = np.zeros(0, np.int64)
        empty = np.zeros(0, np.float32)
        return Decided(none, np.zeros(0, "<U16"), none, none, sketches.digests, none, empty)
    near = by_vector(sketches, rows) if by_vector else None
    labels = clusters(sketches, duplicates, progress, near.pairs if near else None)
    ranks = preference(duplicates.keep, sketches, origin)
    kept = keep(labels, ranks, sketches, duplicates, near.cosines if near else None)
    same = (sketches.digests == sketches.digests[kept.by]).all(axis=1)
    by_rule = np.where(same, SAME, np.where(kept.embedding, EMBEDDING, NEAR))
    why = np.where(kept.mask, "", by_rule).astype("<U16")
    # What stands for a leaked row leaks, too.
    leaking = np.zeros(len(rows), np.bool_)
    leaking[kept.by[_matched(shards, rows)]] = True
    why[(why == "") & leaking] = BENCHMARK
    _hold_out(why, labels, sketches, curation)
    _cap(why, origin, sketches.digests, sources, seed)
    digests = np.array(sketches.digests)
    return Decided(rows, why, origin, labels, digests, rows[kept.by], kept.similarity)


def _matched(shards: Shards, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the rows that are a benchmark's."""
    found = [number for number, matches in enumerate(shards.column("matches")) if matches]
    return np.searchsorted(rows, np.array(found, np.int64))


def _hold_out(
    why: NDArray[np.str_], labels: NDArray[np.int64], sketches: Sketches, curation: Curation
) -> None:
    settings, left = curation.held_out, np.flatnonzero(why == "")
    if settings.share and len(left):
        chosen = split(labels[left], sketches.digests[left], settings.share, settings.seed)
        why[left[chosen]] = HELD_OUT


def _cap(
    why: NDArray[np.str_],
    origin: NDArray[np.int64],
    digests: NDArray[np.uint64],
    sources: Sequence[ProblemSource],
    seed: int,
) -> None:
    for position, source in enumerate(sources):
        left = np.flatnonzero((why == "") & (origin == position))
        if source.cap is not None and len(left) > source.cap:
            order = sorted(left.tolist(), key=lambda place: rank(digests[place].tobytes(), seed))
            why[np.array(order[source.cap :])] = CAP
