"""Clusters of equal and near-equal problems, and which row of each stays.

Everything works on arrays, of which only the signatures are large; they may be a memory map and are read from
front to back. Nothing depends on the order of the rows, apart from the keep rule `first`.

Not covered: vectors (`tessy.curation_rules.vectors`), of which only what they join and their cosines are used
here; pairs of one bucket that are further apart than `WINDOW` rows, where no other bucket brings them
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates, KeepRule
from tessy.curation_rules.chunks import Sketches
from tessy.curation_rules.signatures import banding
from tessy.curation_rules.text import mixed

Rows = NDArray[np.int64]
Progress = Callable[[str, float], None]
Cosines = Callable[[np.int64, Rows], NDArray[np.float32]]
SMALL = 64
"""Rows of a bucket in which each is compared with each."""
WINDOW = 8
"""Rows of a larger bucket with which each is compared."""
_UPPER, _LOWEST = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFF)
_BAND_BYTES = 1 << 26
"""For the keys of the bands that are looked at together."""
_PAIRS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class Kept:
    """`by` int64 (n,): the row that stands for each row, itself where it stays. `similarity` float32 (n,):
    the estimated Jaccard similarity to it, 1 for the same normalised text; the cosine where `embedding` (n,)
    says that only that is near."""

    by: Rows
    similarity: NDArray[np.float32]
    embedding: NDArray[np.bool_]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which rows stay."""
        return self.by == np.arange(len(self.by))


# Clusters -----------------------------------------------------------------------------------------


def clusters(
    sketches: Sketches,
    settings: Duplicates,
    progress: Progress | None = None,
    near: tuple[Rows, Rows] | None = None,
) -> Rows:
    """The cluster of each row, int64 (n,), numbered from 0 in the order of their first rows.

    Rows are in one cluster if a chain of near-duplicates connects them: equal digests, signatures that agree
    in a share of at least `settings.threshold`, or being one of the pairs in `near`. Rows without words are
    only ever equal. `progress` is told what is done and which share of it.
    """
    first, text = distinct(sketches.digests)
    labels = np.arange(len(first))
    if settings.near:
        labels = _components(first, sketches, settings, progress)
    if near is not None:
        labels = connected(labels, text[near[0]], text[near[1]])
    return _numbered(labels[text])


def distinct(digests: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """One row of each distinct text, in the order of contents, and for each row the position of its text."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    position = np.empty(len(order), np.int64)
    position[order] = np.cumsum(new) - 1
    return order[new], position


def _numbered(labels: Rows) -> Rows:
    """The same partition, numbered in the order of first rows."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _components(rows: Rows, sketches: Sketches, settings: Duplicates, progress: Progress | None) -> Rows:
    """The component of each of `rows`, distinct texts in the order of their contents."""
    labels = np.arange(len(rows))
    wordy = np.flatnonzero(sketches.words[rows] > 0)
    bands, _ = banding(settings.threshold, settings.permutations)
    for band, keys in enumerate(_bands(sketches.signatures, settings)):
        if progress:
            progress("comparing near-duplicates", band / bands)
        for one, other in _pairs(keys[rows[wordy]], wordy):
            new = labels[one] != labels[other]
            one, other = one[new], other[new]
            near = _similar(sketches.signatures, rows[one], rows[other]) >= settings.threshold - 1e-6
            labels = connected(labels, one[near], other[near])
    return labels


def _bands(signatures: NDArray[np.uint32], settings: Duplicates) -> Iterator[NDArray[np.uint64]]:
    """For each band the key of every row. The upper half is the bucket, equal where all hash values of the
    band are; the lower half has 16 bits of each of the two that follow, and sorts a bucket so that likely
    duplicates are near each other (as an LSH forest does)."""
    bands, width = banding(settings.threshold, settings.permutations)
    together = max(1, _BAND_BYTES // (8 * max(1, len(signatures))))
    for low in range(0, bands, together):
        keys = np.zeros((min(together, bands - low), len(signatures)), np.uint64)
        for start in range(0, len(signatures), _PAIRS_AT_ONCE):
            block = signatures[start : start + _PAIRS_AT_ONCE].astype(np.uint64)
            for number, key in enumerate(keys[:, start : start + len(block)]):
                first = (low + number) * width
                for column in range(first, first + width):
                    key[:] = mixed(key + block[:, column] + np.uint64(1))
                key &= _UPPER
                for place, bits in ((first + width, 16), (first + width + 1, 0)):
                    key |= (block[:, place % block.shape[1]] & _LOWEST) << np.uint64(bits)
        yield from keys


def _pairs(keys: NDArray[np.uint64], names: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of `names` in the same bucket: all in a small one, in a large one those that its order has near
    each other."""
    order = np.argsort(keys, kind="stable")
    buckets, names = keys[order] >> np.uint64(32), names[order]
    new = np.flatnonzero(np.diff(buckets, prepend=~buckets[:1]))
    sizes = np.repeat(sized := np.diff(new, append=len(buckets)), sized)
    here = np.flatnonzero(sizes > 1)
    for distance in range(1, SMALL):
        if distance == WINDOW + 1:
            here = here[sizes[here] <= SMALL]
        here = here[here + distance < len(buckets)]
        here = here[buckets[here] == buckets[here + distance]]
        if not len(here):
            return
        yield names[here], names[here + distance]


def _similar(signatures: NDArray[np.uint32], one: Rows, other: Rows) -> NDArray[np.float32]:
    """The share of equal hash values of each pair of rows."""
    out = np.empty(len(one), np.float32)
    for start in range(0, len(one), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        out[part] = (signatures[one[part]] == signatures[other[part]]).mean(axis=1)
    return out


def connected(labels: Rows, one: Rows, other: Rows) -> Rows:
    """Labels where each pair's components have become one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(one):
        return labels
    size = int(labels.max()) + 1
    edges = coo_array((np.ones(len(one), bool), (labels[one], labels[other])), shape=(size, size))
    merged: Rows = connected_components(edges, directed=False)[1].astype(np.int64)
    return merged[labels]


# Which row stays ----------------------------------------------------------------------------------


def preference(rule: KeepRule, sketches: Sketches, sources: Rows) -> Rows:
    """The rank of each row by the keep rule, int64 (n,); 0 stays first. `sources` has each row's position in
    the list of sources."""
    position = np.arange(len(sketches))
    if rule == "first":
        return position
    longest, content = -sketches.words, (sketches.digests[:, 0], sketches.digests[:, 1], position)
    by = {
        "source": (sources, longest, *content),
        "longest": (longest, sources, *content),
        "shortest": (sketches.words, sources, *content),
    }[rule]
    ranks = np.empty(len(sketches), np.int64)
    ranks[np.lexsort(by[::-1])] = position
    return ranks


def keep(
    labels: Rows, ranks: Rows, sketches: Sketches, settings: Duplicates, cosines: Cosines | None = None
) -> Kept:
    """Which rows stay: in each cluster the best by rank, then the best that is no near-duplicate of one that
    stays, and so on. A row that only a chain connects to those that stay is thereby not lost.

    `cosines` gives those of one row with others, where they count, too (`settings.embedding`).
    """
    by, similarity = np.arange(len(labels)), np.ones(len(labels), np.float32)
    embedding = np.zeros(len(labels), bool)
    order = np.lexsort((ranks, labels))
    ends = np.flatnonzero(np.diff(labels[order], append=-1)) + 1
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        rest = order[start:end]
        while len(rest) > 1:
            best, rest = rest[0], rest[1:]
            score = _to_one(sketches, best, rest)
            near = score >= settings.threshold - 1e-6
            if cosines is not None and settings.embedding is not None:
                cosine = cosines(best, rest)
                new = ~near & (cosine >= settings.embedding.threshold - 1e-6)
                near, score = near | new, np.where(new, cosine, score)
                embedding[rest[new]] = True
            by[rest[near]], similarity[rest[near]] = best, score[near]
            rest = rest[~near]
    return Kept(by, similarity, embedding)


def _to_one(sketches: Sketches, best: np.int64, rest: Rows) -> NDArray[np.float32]:
    same = (sketches.digests[rest] == sketches.digests[best]).all(axis=1)
    score = same.astype(np.float32)
    if sketches.signatures.shape[1]:
        score[~same] = _similar(sketches.signatures, np.full((~same).sum(), best), rest[~same])
    return score
