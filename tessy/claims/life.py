"""Signs of life: each owner's file, written again and again; who has stopped doing so is dead.

Whoever runs on the same machine is looked up in /proc, at once. Of others the file's age tells, by the file
system's clock: it is compared with the age of one's own file, so that clocks of machines do not matter.

Not covered: an owner that hangs but still shows its life.
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tessy.claims import BEAT_S, LEASE_S

OWNER = "owner-"
ASKED_AGAIN_S = 1.0
"""For how long an answer about an owner is good."""


class Life:
    """The signs of life in `folder`; `owner` gives its own from now on."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder, self._owner = folder, owner
        self._who = identity(os.getpid())
        self._known: dict[str, tuple[float, bool]] = {}
        self._state: dict[str, float | int | str] = {}
        self._closed = threading.Event()
        self.beat()
        self._beating = threading.Thread(target=self._go_on, name="signs of life", daemon=True)
        self._beating.start()

    def show(self, state: Mapping[str, float | int | str]) -> None:
        self._state = dict(state)

    def beat(self) -> None:
        """Write the file anew: readers find the old one or the new one."""
        path = self._path(self._owner)
        temporary = path.with_suffix(f".{threading.get_ident()}.tmp")
        temporary.write_text(json.dumps(self._who | {"state": self._state}), encoding="utf-8")
        os.replace(temporary, path)
        self._shown = path.stat().st_mtime - time.monotonic()

    def _go_on(self) -> None:
        while not self._closed.wait(BEAT_S):
            # A disk that is full for a while must not make this process look dead for good.
            with suppress(OSError):
                self.beat()

    def alive(self, owner: str) -> bool:
        asked, answer = self._known.get(owner, (-math.inf, False))
        if time.monotonic() - asked > ASKED_AGAIN_S:
            answer = owner == self._owner or self._looks_alive(self._path(owner))
            self._known[owner] = time.monotonic(), answer
        return answer

    def forget(self) -> None:
        """Look at everybody anew."""
        self._known.clear()

    def _looks_alive(self, path: Path) -> bool:
        try:
            # Opened first: network file systems ask their server then.
            with path.open(encoding="utf-8") as stream:
                who, seen = json.load(stream), os.fstat(stream.fileno()).st_mtime
        except (FileNotFoundError, ValueError):
            return False
        if here(who):
            return bool(started(who["pid"]) == who["started"])
        return self._now() - seen < LEASE_S

    def age(self, path: Path) -> float:
        """Seconds since `path` was written, by the clock of its file system."""
        return self._now() - path.stat().st_mtime

    def _now(self) -> float:
        return self._shown + time.monotonic()

    def _path(self, owner: str) -> Path:
        return self._folder / f"{OWNER}{owner}.json"

    def close(self) -> None:
        self._closed.set()
        self._beating.join()
        self._path(self._owner).unlink(missing_ok=True)


def states(folder: Path) -> dict[str, dict[str, Any]]:
    """What every owner in `folder` says of itself, by owner: `host`, `pid`, `state`, and `age_s` as the clock
    of this machine has it."""
    found = {}
    for path in sorted(folder.glob(f"{OWNER}*.json")):
        with suppress(OSError, ValueError):
            said = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem.removeprefix(OWNER)] = said | {"age_s": time.time() - path.stat().st_mtime}
    return found


def identity(pid: int) -> dict[str, Any]:
    """A process's identity. Containers may share a host name, but have their own process ids."""
    return {
        "host": socket.gethostname(),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "processes": os.readlink("/proc/self/ns/pid"),
        "pid": pid,
        "started": started(pid),
    }


def here(who: Mapping[str, Any]) -> bool:
    """Whether a process of that identity would be found in this machine's /proc."""
    own = identity(os.getpid())
    return all(who.get(name) == own[name] for name in ("host", "boot", "processes"))


def started(pid: int) -> str:
    """A process's start time in ticks since boot, "" if there is none. Distinguishes reused process ids."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except (FileNotFoundError, ProcessLookupError):
        return ""
