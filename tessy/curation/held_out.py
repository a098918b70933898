"""Held-out problems: whole clusters, chosen by their content, so that no near-duplicate is on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def split(
    labels: NDArray[np.int64], digests: NDArray[np.uint64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Which rows are held out, bool (n,).

    `labels` (n,) are clusters and `digests` (n, 2) contents. Clusters are taken in an order that follows from
    their contents and `seed` until `share` of the rows is reached; one that would not fit any more is passed
    over. The choice does not depend on the order of the rows, and other rows move few clusters across.
    """
    raise NotImplementedError
