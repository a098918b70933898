"""MinHash signatures (`datasketch`) of normalised texts, and their bands for finding candidates.

Not covered: which candidates are duplicates (`tessy.curation.duplicates`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates


class Signatures:
    """Makes signatures of one kind; those of two kinds cannot be compared."""

    def __init__(self, settings: Duplicates) -> None:
        self.permutations = settings.permutations

    def of(self, normal: str) -> NDArray[np.uint32]:
        """The signature of a normalised text: shape (permutations,), as `datasketch.MinHash` computes it from
        the text's shingles."""
        raise NotImplementedError
