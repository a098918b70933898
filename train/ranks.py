"""What the processes of one training run (ranks) leave for the stage, in the folder of the attempt.

Every rank prints to `rank-N.log`; a line that begins with `MARK` is a message: progress or metrics. A rank
that fails records why before it ends. The others then fail, too, because it has ended, so records are
numbered in the order in which they are made: the first is found without comparing the clocks of machines.

Not covered: what the stage does about a failure (`train.launch`).
"""

from __future__ import annotations

import json
import os
import platform
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from tessy.artifacts import read_json
from tessy.claims.files import first_wins
from tessy.errors import UserError

MARK = "\x1e"
"""Opens a line that is a message."""
LOG = ".log"
Cause = Literal["refusal", "fault", "loss"]
"""Unusable input; a fault of the process itself; or another process that could no longer be reached."""


def send(message: Mapping[str, Any]) -> None:
    """Send a message to the stage. It is written at once, so nothing else comes in between."""
    os.write(1, f"\n{MARK}{json.dumps(message)}\n".encode())


class Relay:
    """The tracker in a worker: forwards to the stage's tracker."""

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        send({"metrics": dict(metrics), "step": step})

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Tables are shown by the stage's own process."""


def node_file(node: int) -> str:
    """The file in an attempt's folder in which `node` says where it is."""
    return f"node-{node}.json"


def print_to(folder: Path, rank: int) -> None:
    """From here on, this process prints to the log of `rank`."""
    log = os.open(folder / f"rank-{rank}{LOG}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


class Line(NamedTuple):
    """A line of the log of `source`: `rank-0`, or `worker-1` for what node 1 itself prints."""

    source: str
    text: str


class Logs:
    """The logs in `folder`, read line by line while they are written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def new(self) -> Iterator[Line]:
        """The whole lines that have been added since the last call, without empty ones."""
        for path in sorted(self._folder.glob(f"*{LOG}")):
            read = self._read.get(path, 0)
            if path.stat().st_size == read:
                continue
            with path.open("rb") as stream:
                stream.seek(read)
                added = stream.read()
            whole = added[: added.rfind(b"\n") + 1]
            self._read[path] = read + len(whole)
            # Not splitlines, for which MARK ends a line, too.
            for text in whole.decode(errors="replace").split("\n"):
                if text:
                    yield Line(path.stem, text)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a rank, or where that is None the whole node, has failed. `trace` is the traceback or what was last
    printed."""

    rank: int | None
    node: int
    host: str
    cause: Cause
    error: str
    trace: str = ""

    def __str__(self) -> str:
        rank = "" if self.rank is None else f"rank {self.rank} on "
        return f"{rank}node {self.node} ({self.host}): {self.error}"


def failure(error: Exception, node: int, rank: int | None = None) -> Failure:
    """The failure of this process by `error`."""
    said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".strip()
    trace = "".join(traceback.format_exception(error))
    return Failure(rank, node, platform.node(), _cause(error), said, trace)


def _cause(error: Exception) -> Cause:
    from torch.distributed import DistError

    if isinstance(error, UserError):
        return "refusal"
    # NCCL's errors and those of stores have types; gloo's are RuntimeErrors that name its source.
    unreachable = isinstance(error, DistError | ConnectionError | TimeoutError) or "gloo" in str(error)
    return "loss" if unreachable else "fault"


def record(folder: Path, failed: Failure) -> None:
    """Record a failure, after all that have been recorded before."""
    text = json.dumps(asdict(failed))
    for number in count():
        if first_wins(folder / f"failure-{number}.json", text) == text:
            return


def failures(folder: Path) -> list[Failure]:
    """All that were recorded, in that order."""
    paths = (folder / f"failure-{number}.json" for number in count())
    return [Failure(**read_json(path)) for path in takewhile(Path.exists, paths)]


def first(found: Sequence[Failure]) -> Failure | None:
    """The failure that explains the others: the first, but those of connections come after all else."""
    return min(found, key=lambda one: get_args(Cause).index(one.cause), default=None)
