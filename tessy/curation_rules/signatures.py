"""MinHash signatures of normalised texts, and their bands for finding candidates, both by `datasketch`.

Not covered: which candidates are duplicates (`tessy.curation_rules.duplicates`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates
from tessy.curation_rules.text import Hashes, normalise, shingles

_AT_ONCE = 1 << 14
"""Shingles that are permuted at once: with 128 permutations 8 MiB."""


NONE: Hashes = np.empty(0, np.uint64)
LEAST_SAMPLE = 200


class Signatures:
    """Makes signatures of one kind; those of two kinds cannot be compared."""

    def __init__(self, settings: Duplicates, common: Hashes = NONE) -> None:
        """`common` are shingles that count for none (`boilerplate`), sorted."""
        from datasketch import MinHash

        self.settings, self.common = settings, common
        self._empty = MinHash(settings.permutations, seed=1, hashfunc=_itself, scheme="affine32")

    def of(self, normal: str) -> NDArray[np.uint32]:
        """The signature of a normalised text: shape (permutations,), as `datasketch.MinHash` computes it from
        the upper 32 bits of the text's shingles.

        A text of boilerplate alone has the signature of all of its shingles.
        """
        hashes = (self._counted(shingles(normal, self.settings.ngram_words)) >> np.uint64(32)).tolist()
        signature = self._empty.copy()
        for first in range(0, len(hashes), _AT_ONCE):
            signature.update_batch(hashes[first : first + _AT_ONCE])
        values: NDArray[np.uint32] = signature.hashvalues
        return values

    def _counted(self, hashes: Hashes) -> Hashes:
        if not len(self.common):
            return hashes
        place = np.minimum(np.searchsorted(self.common, hashes), len(self.common) - 1)
        counted = hashes[self.common[place] != hashes]
        return counted if len(counted) else hashes


def boilerplate(sample: Iterable[str], settings: Duplicates) -> Hashes:
    """The shingles that more than `settings.common_share` of the different texts of `sample` have, sorted.

    Prompts of one source often share instructions that are longer than the problem, and formats: without them
    in the signatures, short problems between the same instructions are not near-duplicates. `sample` is of
    one source; several sources' are joined by `np.union1d`. Of fewer than 200 different texts nothing is
    said.
    """
    different = {normal for normal in map(normalise, sample) if normal}
    if len(different) < LEAST_SAMPLE or settings.common_share == 1:
        return NONE
    found = np.concatenate([shingles(normal, settings.ngram_words) for normal in sorted(different)])
    hashes, counts = np.unique(found, return_counts=True)
    return hashes[counts > settings.common_share * len(different)]


def _itself(value: int) -> int:
    return value


@cache
def banding(threshold: float, permutations: int) -> tuple[int, int]:
    """How many bands of how many hash values find pairs of that similarity, by `datasketch.MinHashLSH`.

    Missing a pair weighs nine times as much as a candidate that turns out to be none, which costs only time.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold, permutations, weights=(0.1, 0.9))
    return index.b, index.r
