"""Chooses the replica for a sample: rendezvous hashing with bounded load.

The server that wrote a sample's last span still holds its prefix in the KV cache, so the sample should return
to it. Every sample has its own order of all replicas and takes the first that is not overloaded:
if one fails, only its samples move, and they spread over the others.

Sources: rendezvous hashing, Thaler and Ravishankar 1998; bounded loads, Mirrokni et al. 2018 (there for
consistent hashing). Not covered: replicas of unequal strength.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

LOAD_FACTOR = 1.25
"""Open requests a replica may have, relative to the mean over all replicas."""


def preference(sample_id: str, replicas: Mapping[str, int]) -> list[str]:
    """All `replicas`, the sample's favourite first."""

    def weight(replica: str) -> bytes:
        return hashlib.blake2b(f"{replica}\0{sample_id}".encode(), digest_size=8).digest()

    return sorted(replicas, key=weight, reverse=True)


def choose(sample_id: str, replicas: Mapping[str, int]) -> str:
    """The replica for one more request; `replicas` gives the requests open on each, and is not empty."""
    bound = math.ceil(LOAD_FACTOR * (sum(replicas.values()) + 1) / len(replicas))
    return next(name for name in preference(sample_id, replicas) if replicas[name] < bound)
