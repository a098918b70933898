"""MinHash signatures of normalised texts, and their bands for finding candidates, both by `datasketch`.

Not covered: which candidates are duplicates (`tessy.curation.duplicates`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates
from tessy.curation.text import shingles

_AT_ONCE = 1 << 14
"""Shingles that are permuted at once: with 128 permutations 8 MiB."""


class Signatures:
    """Makes signatures of one kind; those of two kinds cannot be compared."""

    def __init__(self, settings: Duplicates) -> None:
        from datasketch import MinHash

        self.settings = settings
        self._empty = MinHash(settings.permutations, seed=1, hashfunc=_itself, scheme="affine32")

    def of(self, normal: str) -> NDArray[np.uint32]:
        """The signature of a normalised text: shape (permutations,), as `datasketch.MinHash` computes it from
        the upper 32 bits of the text's shingles."""
        hashes = (shingles(normal, self.settings.ngram_words) >> np.uint64(32)).tolist()
        signature = self._empty.copy()
        for first in range(0, len(hashes), _AT_ONCE):
            signature.update_batch(hashes[first : first + _AT_ONCE])
        values: NDArray[np.uint32] = signature.hashvalues
        return values


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
