"""Memory and process caps by cgroup, where one can be had.

Looks for, in this order: cgroup v2 with a delegated memory controller, cgroup v1 with a writable memory
hierarchy. Without either the sandbox falls back on rlimits and sampling (`init.c`).

Groups are made in or beside the caller's own cgroup and named after its process, so a later run can
remove what a killed one left. A hierarchy is used only after a trial on a real process; `Accounting` says
what was found. v2 needs kernel 5.19 (`memory.peak`). No machine that delegates it was at hand: it was run on
a 6.1 kernel that is a process (tests/judge/README.md), and is tested against folders of files laid out alike.

A v1 group serves run after run while next to nothing is charged to it in between: making and removing one
costs as much as the rest of a short run.

Not covered: CPU (process 1 of the sandbox accounts for it) and I/O bandwidth.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["cgroup2", "cgroup1", "rlimits"]
_PREFIX = "judge-"
_ROOT = Path("/sys/fs/cgroup")
_serial = itertools.count()
CLEAN = 4 << 20
"""Bytes that may be charged to a group before a run: the kernel gives back late, and charges each CPU in
advance (1 MiB is common on two). Entering a new group can take milliseconds, so it should be rare."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """How memory is limited here. `parents` are the directories in which groups are made."""

    kind: Kind
    parents: tuple[Path, ...] = ()

    def __str__(self) -> str:
        if self.parents:
            return f"{self.kind}, groups in {', '.join(map(str, self.parents))}"
        return (
            "rlimits and samples of the tree, as no cgroup that limits memory can be made here; "
            "systemd-run --user --scope gives one on many systems"
        )


class Group:
    """A cgroup for one run, or several one after the other: join a process, ask for its peak, remove it."""

    def __init__(self, accounting: Accounting, memory: int, processes: int) -> None:
        name = f"{_PREFIX}{os.getpid()}-{next(_serial)}"
        self.unified = accounting.kind == "cgroup2"
        self.paths = tuple(parent / name for parent in accounting.parents)
        self._limits: tuple[float, int] = (math.inf, 0)
        self._usage = 0
        self._ran_out = False
        self._files: dict[tuple[str, int], int] = {}
        for path in self.paths:
            path.mkdir()
        try:
            self._limit(memory, processes)
        except OSError:
            self.remove()
            raise

    def renew(self, memory: int, processes: int) -> bool:
        """Serve another run; False where only a new group can: memory ran out or is still charged, or the
        highest use cannot be forgotten, as in v2."""
        if self.unified or self._ran_out:
            return False
        self._usage = int(self._read("memory.usage_in_bytes"))
        if self._usage > CLEAN:
            return False
        self._limit(memory, processes)
        os.pwrite(self._file("memory.max_usage_in_bytes", os.O_WRONLY), b"0", 0)
        return True

    def _limit(self, memory: int, processes: int) -> None:
        first = self.paths[0]
        if self.unified:
            _put(first / "memory.max", memory)
            _put_if_there(first / "memory.swap.max", 0)
            _put_if_there(first / "pids.max", processes)
            return
        if self._limits == (memory, processes):
            return
        names = ["memory.limit_in_bytes"]
        if (first / "memory.memsw.limit_in_bytes").exists():
            names.append("memory.memsw.limit_in_bytes")
        # With swap a limit may never be below that without.
        for name in reversed(names) if memory > self._limits[0] else names:
            _put(first / name, memory)
        for path in self.paths[1:]:
            _put(path / "pids.max", processes)
        self._limits = (memory, processes)

    def join(self, pid: int) -> None:
        """Put a process, and the children it will have, under the limits."""
        for path in self.paths:
            _put(path / "cgroup.procs", pid)

    def peak(self) -> int:
        """The most memory the run ever held, in bytes; page cache it dirtied included."""
        name = "memory.peak" if self.unified else "memory.max_usage_in_bytes"
        return max(int(self._read(name)) - self._usage, 0)

    def ran_out(self) -> bool:
        """Whether the kernel killed something of the group for want of memory."""
        name = "memory.events" if self.unified else "memory.oom_control"
        lines = self._read(name).splitlines()
        self._ran_out = any(line.startswith(b"oom_kill ") and int(line.split()[1]) > 0 for line in lines)
        return self._ran_out

    def _read(self, name: str) -> bytes:
        return os.pread(self._file(name, os.O_RDONLY), 4096, 0)

    def _file(self, name: str, how: int) -> int:
        """A file that every run asks for, and that therefore stays open."""
        if (name, how) not in self._files:
            self._files[name, how] = os.open(self.paths[0] / name, how | os.O_CLOEXEC)
        return self._files[name, how]

    def remove(self) -> None:
        """Remove the group; its processes are dead by now, but the kernel may need a moment to notice."""
        while self._files:
            os.close(self._files.popitem()[1])
        for path in self.paths:
            for _ in range(50):
                try:
                    path.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)
                else:
                    break


@functools.cache
def accounting() -> Accounting:
    """How memory is limited on this machine; looked up once."""
    return detect()


def detect() -> Accounting:
    """What this process may use. Clears away groups of dead judges."""
    mine = memberships(Path("/proc/self/cgroup").read_text())
    candidates = (*unified(mine, _ROOT), *legacy(mine, _ROOT))
    found = next(filter(_works, candidates), Accounting("rlimits"))
    for parent in found.parents:
        _sweep(parent)
    return found


def memberships(text: str) -> dict[str, str]:
    """`/proc/self/cgroup` as {controller: path}; the unified hierarchy has the name ''."""
    fields = (line.split(":", 2) for line in text.splitlines())
    return {name: path for _, names, path in fields for name in names.split(",")}


def unified(mine: Mapping[str, str], root: Path) -> list[Accounting]:
    """The v2 ancestors of this process that hand memory limits to their children, the nearest first.

    v2 lets no group hold both processes and limited children, so groups stand beside the caller's.
    """
    here = root / mine.get("", "/").lstrip("/")
    within = [folder for folder in (here, *here.parents) if folder.is_relative_to(root)]
    return [
        Accounting("cgroup2", (folder,))
        for folder in within
        if "memory" in _words(folder / "cgroup.subtree_control")
    ]


def legacy(mine: Mapping[str, str], root: Path) -> list[Accounting]:
    """The caller's own v1 groups: with a cap on processes, else for memory alone."""
    memory, pids = (root / name / mine.get(name, "/").lstrip("/") for name in ("memory", "pids"))
    return [Accounting("cgroup1", parents) for parents in ((memory, pids), (memory,))]


def _works(accounting: Accounting) -> bool:
    """Try it on a process that does nothing: permissions have too many sources to reason about."""
    idle = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        group = Group(accounting, memory=1 << 26, processes=16)
        try:
            group.join(idle.pid)
            return group.peak() >= 0
        finally:
            idle.kill()
            idle.wait()
            group.remove()
    except (OSError, ValueError):
        return False
    finally:
        idle.kill()
        idle.communicate()


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}[0-9]*-*"):
        if not Path("/proc", path.name.removeprefix(_PREFIX).partition("-")[0]).exists():
            try:
                path.rmdir()
            except OSError:
                continue  # a process of it is still dying; the next judge will find it


def _put(path: Path, value: int) -> None:
    with path.open("w") as stream:
        stream.write(str(value))


def _put_if_there(path: Path, value: int) -> None:
    if path.exists():
        _put(path, value)
