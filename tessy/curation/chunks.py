"""The first pass over a source: a chunk of prompts becomes compact arrays, and its texts are let go.

Chunks are independent, so any number of processes can describe them in any order; concatenate what they give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates


@dataclass(frozen=True, slots=True)
class Sketches:
    """What later rules need of `n` rows: 24 bytes and the signature (512 bytes by default) for each.

    `digests` uint64 (n, 2) is equal for equal normalised texts, `signatures` uint32 (n, permutations) is
    their MinHash, with no columns where near-duplicates are off, `words` int64 (n,) their length.
    """

    digests: NDArray[np.uint64]
    signatures: NDArray[np.uint32]
    words: NDArray[np.int64]


def sketch(prompts: Sequence[str], settings: Duplicates) -> Sketches:
    """The sketches of `prompts`, row by row."""
    raise NotImplementedError
