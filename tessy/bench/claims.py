"""How fast keys are claimed by many processes at once, as by the workers of a cluster: through files on one
shared folder, or through Ray.

Every process takes what it can of the same keys, in an order that begins elsewhere in each, and in the end
all that were taken are counted: none may be missing, none taken twice. Files are created where FOLDER is:
give one on the network file system that is to be measured.

Not covered: what a claim costs beside the work it is for.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tessy.cluster.choosing import claims_of
from tessy.config.cluster import AnyCluster, LocalCluster, RayCluster


class _Found(NamedTuple):
    """What a process has taken, and how long it took to connect and to be answered first."""

    keys: list[int]
    connect_s: float
    first_s: float
    mib: float


def measure(
    workers: int, keys: int, folder: Path | None = None, cluster: AnyCluster | None = None
) -> dict[str, Any]:
    """Claims per second of `workers` processes for `keys` keys, how many were missing or taken twice, and how
    often a process asked for what another had; how long the processes took to connect to `cluster`, their
    memory then, and the longest time to a first answer."""
    there = _as_workers_find_it(cluster or LocalCluster())
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pipes, processes = [], []
        # Processes of their own, as signs of life are threads, which do not survive a fork.
        context = multiprocessing.get_context("spawn")
        for number in range(workers):
            ours, theirs = context.Pipe()
            start = number * keys // workers
            process = context.Process(target=_work, args=(Path(scratch), there, keys, start, theirs))
            process.start()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send(None)
        found: list[_Found] = [pipe.recv() for pipe in pipes]
        seconds = time.perf_counter() - began
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.send(None)
            process.join()
    taken = Counter(key for one in found for key in one.keys)
    return {
        "workers": workers,
        "keys": keys,
        "connect_s": round(median(one.connect_s for one in found), 2),
        "memory_mib": round(median(one.mib for one in found)),
        "first_claim_s": round(max(one.first_s for one in found), 3),
        "seconds": round(seconds, 2),
        "claims_per_s": round(taken.total() / seconds),
        "asked_in_vain": workers * keys - taken.total(),
        "twice": sum(times > 1 for times in taken.values()),
        "missing": keys - len(taken),
    }


def _as_workers_find_it(cluster: AnyCluster) -> AnyCluster:
    """A Ray cluster of this machine (`local`) is started once, and ends with this process."""
    if not isinstance(cluster, RayCluster):
        return cluster
    from tessy.cluster.on_ray import connect

    return RayCluster(kind="ray", address=connect(cluster).get_runtime_context().gcs_address)


def _work(folder: Path, cluster: AnyCluster, keys: int, start: int, pipe: Connection) -> None:
    began = time.perf_counter()
    if isinstance(cluster, RayCluster):
        from tessy.cluster.on_ray import connect

        connect(cluster)
    claims = claims_of(cluster, folder)
    connected = time.perf_counter() - began
    mib = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    pipe.send("ready")
    pipe.recv()
    first, *others = [*range(start, keys), *range(start)]
    began = time.perf_counter()
    mine = [first] * (claims.take(str(first)) is not None)
    answered = time.perf_counter() - began
    mine += [key for key in others if claims.take(str(key)) is not None]
    pipe.send(_Found(mine, connected, answered, mib))
    pipe.recv()
    claims.close()
