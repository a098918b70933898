"""How fast keys are claimed by many processes at once, as by the workers of a cluster on one shared folder.

Every process takes what it can of the same keys, in an order that begins elsewhere in each, and in the end
all that were taken are counted: none may be missing, none taken twice. Files are created where FOLDER is:
give one on the network file system that is to be measured.

Not covered: what a claim costs beside the work it is for.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tessy.claims.files import FileClaims


def measure(workers: int, keys: int, folder: Path | None = None) -> dict[str, Any]:
    """Claims per second of `workers` processes for `keys` keys, how many were missing or taken twice, and how
    often a process asked for what another had."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pipes, processes = [], []
        # Processes of their own, as signs of life are threads, which do not survive a fork.
        context = multiprocessing.get_context("spawn")
        for number in range(workers):
            ours, theirs = context.Pipe()
            start = number * keys // workers
            process = context.Process(target=_work, args=(Path(scratch), keys, start, theirs))
            process.start()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send(None)
        found: list[Sequence[int]] = [pipe.recv() for pipe in pipes]
        seconds = time.perf_counter() - began
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.send(None)
            process.join()
    taken = Counter(key for one in found for key in one)
    return {
        "workers": workers,
        "keys": keys,
        "seconds": round(seconds, 2),
        "claims_per_s": round(taken.total() / seconds),
        "asked_in_vain": workers * keys - taken.total(),
        "twice": sum(times > 1 for times in taken.values()),
        "missing": keys - len(taken),
    }


def _work(folder: Path, keys: int, start: int, pipe: Connection) -> None:
    claims = FileClaims(folder)
    pipe.send("ready")
    pipe.recv()
    order = [*range(start, keys), *range(start)]
    pipe.send([key for key in order if claims.take(str(key)) is not None])
    pipe.recv()
    claims.close()
