"""Held-out problems: whole clusters, chosen by their content, so that no near-duplicate is on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tessy.curation_rules.text import mixed


def split(
    labels: NDArray[np.int64], digests: NDArray[np.uint64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Which rows are held out, bool (n,).

    `labels` (n,) are clusters and `digests` (n, 2) contents. Clusters are taken in an order that follows from
    their contents and `seed` until `share` of the rows is reached; one that would not fit any more is passed
    over. The choice does not depend on the order of the rows, and other rows move few clusters across.
    """
    order = np.lexsort((digests[:, 1], digests[:, 0], labels))
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    # A cluster is named by the smallest of its digests, which no order of rows changes.
    names, sizes = digests[order][starts], np.diff(starts, append=len(labels))
    room, chosen = round(share * len(labels)), np.zeros(len(starts), bool)
    lots = mixed(mixed(names[:, 0] + mixed(np.array([seed], np.uint64))) + names[:, 1])
    for one in np.argsort(lots):
        if sizes[one] <= room:
            chosen[one] = True
            room -= sizes[one]
        if not room:
            break
    out = np.empty(len(labels), bool)
    out[order] = np.repeat(chosen, sizes)
    return out
