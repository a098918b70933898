"""Shingles of many texts in one sorted array: which texts share some with a row, and how many.

Not covered: what sharing them means (`tessy.curation_rules.decontamination`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tessy.curation_rules.text import Hashes, shingles


class Lookup:
    """The shingles of `texts`, by number, that are in fewer than `common` different texts of one group.

    `own` are each text's shingles, sorted and distinct. 12 bytes for each shingle, and as much again in
    `own`.
    """

    def __init__(self, texts: Sequence[str], groups: Sequence[str], words: int, common: int) -> None:
        self.words = words
        sets = [shingles(text, words) for text in texts]
        boilerplate = _boilerplate(texts, groups, sets, common)
        self.own: Mapping[int, Hashes] = {
            number: np.setdiff1d(one, boilerplate, assume_unique=True) for number, one in enumerate(sets)
        }
        keys = np.concatenate([*self.own.values(), np.empty(0, np.uint64)])
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        numbers = np.repeat(np.arange(len(texts)), [len(one) for one in self.own.values()])
        self._texts = numbers[order].astype(np.int32)
        # Most shingles of a row are in no test; a small table says so faster than a search does.
        self._shift = np.uint64(64 - max(16, (8 * len(keys)).bit_length()))
        self._present = np.zeros(1 << (64 - int(self._shift)), bool)
        self._present[keys >> self._shift] = True

    def shared(self, row: Hashes) -> list[tuple[int, int]]:
        """Which texts share shingles with a row's sorted distinct `row`, and how many."""
        row = row[self._present[row >> self._shift]]
        low, high = (np.searchsorted(self._keys, row, side) for side in ("left", "right"))
        found = high - low
        # The places low, low + 1, ..., high - 1 of every shingle, one after another.
        places = np.arange(found.sum()) + np.repeat(low - np.cumsum(found) + found, found)
        counts = np.bincount(self._texts[places], minlength=1)
        texts = np.flatnonzero(counts)
        return list(zip(texts.tolist(), counts[texts].tolist(), strict=True))


def _boilerplate(texts: Sequence[str], groups: Sequence[str], sets: Sequence[Hashes], common: int) -> Hashes:
    """Shingles of at least `common` different texts of one group."""
    different: dict[str, dict[str, Hashes]] = {}
    for text, group, one in zip(texts, groups, sets, strict=True):
        different.setdefault(group, {})[text] = one
    found = [np.empty(0, np.uint64)]
    for inside in different.values():
        keys, counts = np.unique(np.concatenate(list(inside.values())), return_counts=True)
        found.append(keys[counts >= common])
    return np.unique(np.concatenate(found))
