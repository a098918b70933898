"""Places the workers of a stage: on this machine, on a Ray cluster, or in a Slurm job array.

A worker is a process that runs a command of ours (`python -m tessy.runtime.job --join FOLDER`) until the
stage has no work left. Workers share the stage's folder and nothing else: what each does is decided by claims
(`tessy.claims`), so they may come, go and die at any time, and the results are those of a single process.

An executor only keeps as many workers alive as were asked for. The workers of a gang need each other (the
nodes of one training run): none is replaced, and whoever has started the gang decides what happens when it
breaks. Not covered: what a worker does, and how
several machines come to see the same folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

WORKERS = "workers"
"""Folder inside a stage's work folder with the log and the messages of every worker."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker needs: GPUs, CPU cores, GiB of memory (None: not limited), and whether programs of
    submissions must be isolated there (bubblewrap)."""

    gpus: int = 0
    cores: int = 1
    memory_gib: float | None = None
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What `count` workers do: each runs `command` with `environment` added to the one it finds there, and
    gets `each`. Their logs and messages go to `folder`; `name` is what the cluster shows.

    A `gang` has to run at the same time, each worker on a node of its own where the cluster has several; the
    worker's number (`tessy.cluster.worker.number`) tells one from the other."""

    name: str
    command: Sequence[str]
    folder: Path
    count: int
    each: Resources = Resources()
    environment: Mapping[str, str] = field(default_factory=dict)
    gang: bool = False


class Broken(Exception):
    """Workers of a gang have ended before their work was done; `statuses` by name as of `subprocess`."""

    def __init__(self, statuses: Mapping[str, int]) -> None:
        super().__init__(", ".join(f"{name} with status {status}" for name, status in statuses.items()))
        self.statuses = statuses


class Workers(Protocol):
    """Workers that have been started."""

    def check(self) -> None:
        """Replace workers that were lost; called every second or so. Raises `UserError` where all that are
        left refused their input or their machine (exit status 2), or none can be started; `RuntimeError`
        with the end of a log where one ended with a fault too often. Of a gang none is replaced: raises
        `Broken` once one was lost or ended with a fault."""
        ...

    @property
    def finished(self) -> bool:
        """Whether all have ended because no work was left."""
        ...

    def describe(self) -> str:
        """In a few words for the progress line: `6 of 8 workers`."""
        ...


class Executor(Protocol):
    """Where workers run."""

    @property
    def here(self) -> bool:
        """Whether the process that runs the stage works, too, as one of them. Elsewhere it only waits."""
        ...

    def start(self, work: Work) -> AbstractContextManager[Workers]:
        """Start workers; leaving the context ends all of them and everything they have started."""
        ...
