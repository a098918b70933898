"""The first pass over a source: a chunk of prompts becomes compact arrays, and its texts are let go.

Chunks are independent, so any number of processes can sketch them in any order; concatenate what they give.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.config.curation import Duplicates
from tessy.curation_rules.signatures import NONE, Signatures
from tessy.curation_rules.text import Hashes, digest, normalise


@dataclass(frozen=True, slots=True)
class Sketches:
    """What later rules need of `n` rows: 24 bytes and the signature (512 bytes by default) for each.

    `digests` uint64 (n, 2) are equal for equal normalised texts, `signatures` uint32 (n, permutations) are
    their MinHash, with no columns where near-duplicates are off, and `words` int64 (n,) are their lengths.
    Signatures may be a memory map.
    """

    digests: NDArray[np.uint64]
    signatures: NDArray[np.uint32]
    words: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.digests)


def sketch(prompts: Sequence[str], settings: Duplicates, common: Hashes = NONE) -> Sketches:
    """The sketches of `prompts`, row by row. `common` are the shingles that count for none
    (`tessy.curation_rules.signatures.boilerplate`)."""
    normal = [normalise(prompt) for prompt in prompts]
    # Prompts without words are equal only as they stand.
    contents = b"".join(digest(words or prompt) for words, prompt in zip(normal, prompts, strict=True))
    columns = settings.permutations if settings.near else 0
    signatures = np.empty((len(prompts), columns), np.uint32)
    if settings.near:
        kind = Signatures(settings, common)
        for row, text in enumerate(normal):
            signatures[row] = kind.of(text)
    return Sketches(
        np.frombuffer(contents, np.uint64).reshape(-1, 2),
        signatures,
        np.array([text.count(" ") + 1 if text else 0 for text in normal], np.int64),
    )


def joined(chunks: Sequence[Sketches]) -> Sketches:
    """The sketches of all chunks in their order."""
    return Sketches(
        np.concatenate([chunk.digests for chunk in chunks]),
        np.concatenate([chunk.signatures for chunk in chunks]),
        np.concatenate([chunk.words for chunk in chunks]),
    )


class Sample:
    """A sample of a stream of prompts that does not depend on their order: those with the smallest
    digests."""

    def __init__(self, size: int = 2000) -> None:
        self._size = size
        self._kept: dict[bytes, str] = {}

    def add(self, prompts: Iterable[str]) -> None:
        for prompt in prompts:
            self._kept[digest(prompt)] = prompt
        if len(self._kept) > 2 * self._size:
            self._kept = dict(self._smallest())

    def _smallest(self) -> list[tuple[bytes, str]]:
        return sorted(self._kept.items())[: self._size]

    @property
    def prompts(self) -> list[str]:
        return [prompt for _, prompt in self._smallest()]
