"""Claims that an actor of the Ray cluster grants, for workers on any of its nodes.

Each folder of claims has one coordinator, found by its name. Whoever needs it first starts it on the head
node, and it ends by itself when no owner has been alive for a while: it depends on no worker and no driver.
All it knows is in files of the folder. Ray starts it again when it dies, and it goes on from those; every
start appends to a file of its own, which nobody could create twice. A coordinator that finds the file of a
later one (it was cut off, and Ray has replaced it) grants nothing any more: no claim is granted twice.

Not covered: a head node that is lost. Ray ends with it; the next run goes on from the files.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tessy.claims import BEAT_S, LEASE_S
from tessy.claims.life import ASKED_AGAIN_S, Life, here, identity, started
from tessy.cluster.on_ray import NAMESPACE, connect
from tessy.config.cluster import RayCluster
from tessy.errors import UserError
from tessy.jsonl import whole_lines

FILE = "coordinator-"
NEWS = 5_000
"""Claims of others that come with an answer at most."""
HEAD = "node:__internal_head__"
"""The resource that only the head node has."""
ANSWER_S = 20.0
"""After so long without an answer a call is made again."""
PATIENCE_S = 180.0
"""For how long calls are made again."""

Claim = tuple[str, str, int]
"""Key, owner, number."""


class _Log:
    """The file of one start of a coordinator, and what is in those of earlier ones."""

    def __init__(self, folder: Path) -> None:
        number = max((int(path.stem.removeprefix(FILE)) for path in folder.glob(f"{FILE}*.jsonl")), default=0)
        file = None
        while file is None:
            number += 1
            self._path = folder / f"{FILE}{number:06}.jsonl"
            with suppress(FileExistsError):
                file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._file, self._next = file, folder / f"{FILE}{number + 1:06}.jsonl"
        # Read after its own file was made: whoever writes to one of these later sees that, and takes it back.
        self.rows = [line.row for path in sorted(folder.glob(f"{FILE}*.jsonl")) for line in whole_lines(path)]

    def append(self, row: Mapping[str, Any]) -> None:
        """Raises `FileNotFoundError` where the folder is gone, `Superseded` where a later coordinator is."""
        line = json.dumps(row).encode() + b"\n"
        if (written := os.write(self._file, line)) < len(line):
            # An incomplete line would corrupt the next one.
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._path.stat()
        if self._next.exists():
            raise Superseded(f"{self._next} is a later coordinator's")


class Superseded(Exception):
    """Another coordinator has taken the place of this one."""


class Coordinator:
    """Grants the claims of `folder`. Every call is a sign of its caller's life; `who` is the identity of the
    caller's process."""

    def __init__(self, folder: Path, end: Callable[[], None]) -> None:
        self._log = _Log(folder)
        self._claims: list[Claim] = []
        self._holders: dict[str, tuple[str, int]] = {}
        self._owners: dict[str, Mapping[str, Any] | None] = {}
        """Those who have not closed; with the process, where it is one of this machine."""
        for row in self._log.rows:
            self._apply(row)
        now = time.monotonic()
        # Nobody is taken for dead for what a coordinator did not hear while it was not there.
        self._shown = dict.fromkeys(self._owners, now)
        self._end = end
        threading.Thread(target=self._watch, name="end", daemon=True).start()

    def _apply(self, row: Mapping[str, Any]) -> None:
        if "key" in row:
            self._claims.append((row["key"], row["owner"], row["number"]))
            self._holders[row["key"]] = row["owner"], row["number"]
        elif "who" in row:
            self._owners[row["owner"]] = row["who"] if here(row["who"]) else None
        else:
            self._owners.pop(row["owner"], None)

    def _record(self, row: Mapping[str, Any]) -> None:
        self._log.append(row)
        self._apply(row)

    def show(self, owner: str, who: dict[str, Any]) -> None:
        """`owner` lives."""
        if owner not in self._owners:
            self._record({"owner": owner, "who": who})
        self._shown[owner] = time.monotonic()

    def take(self, owner: str, who: dict[str, Any], key: str, known: int) -> tuple[int | None, list[Claim]]:
        """The number of the claim if `key` is the owner's now, and claims after the first `known` of all."""
        self.show(owner, who)
        holder, number = self._holders.get(key, ("", 0))
        if holder != owner:
            if holder and self._lives(holder):
                return None, self._claims[known : known + NEWS]
            number += 1
            self._record({"key": key, "owner": owner, "number": number})
        # An owner that asks again has not heard the answer.
        return number, self._claims[known : known + NEWS]

    def holds(self, owner: str, who: dict[str, Any], key: str) -> bool:
        self.show(owner, who)
        return self._holders.get(key, ("", 0))[0] == owner

    def living(self, owner: str, who: dict[str, Any]) -> frozenset[str]:
        """Everybody who lives."""
        self.show(owner, who)
        return self._living()

    def close(self, owner: str) -> None:
        """`owner` is no more."""
        if owner in self._owners:
            self._record({"owner": owner})

    def process(self) -> int:
        """Its process id."""
        return os.getpid()

    def _living(self) -> frozenset[str]:
        return frozenset(owner for owner in list(self._owners) if self._lives(owner))

    def _lives(self, owner: str) -> bool:
        if owner not in self._owners or time.monotonic() - self._shown.get(owner, -math.inf) > LEASE_S:
            return False
        who = self._owners[owner]
        return who is None or bool(started(who["pid"]) == who["started"])

    def _watch(self) -> None:
        """End after two looks at which nobody lived: one may have come too early for the first owner."""
        empty = 0
        while empty < 2:
            time.sleep(BEAT_S)
            empty = 0 if self._living() else empty + 1
        self._end()


def _end_actor() -> None:
    """Called in an actor: it ends, and is not started again."""
    import ray

    ray.kill(ray.get_runtime_context().current_actor)


class RayClaims:
    """The claims in `folder`, as a new owner sees them. It connects to the cluster with the first question,
    and keeps the files of `Life` for whoever watches without Ray. Raises `UserError` where no coordinator
    answers for `PATIENCE_S`."""

    def __init__(self, cluster: RayCluster, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.owner = uuid.uuid4().hex[:12]
        self._cluster, self._folder = cluster, folder.absolute()
        self._who = identity(os.getpid())
        self._actor: Any = None
        self._holders: dict[str, tuple[str, int]] = {}
        self._known = 0
        self._alive: frozenset[str] = frozenset()
        self._asked = -math.inf
        self._life = Life(folder, self.owner)
        self._closed = threading.Event()
        self._beating = threading.Thread(target=self._go_on, name="signs of life", daemon=True)

    def take(self, key: str) -> int | None:
        holder, _ = self._holders.get(key, ("", 0))
        if holder and self.alive(holder):
            return None
        number, news = self._ask("take", self.owner, self._who, key, self._known)
        self._known += len(news)
        self._holders.update({key: (owner, number) for key, owner, number in news})
        if number is not None:
            self._holders[key] = self.owner, number
        return number

    def holds(self, key: str) -> bool:
        holder, _ = self._holders.get(key, ("", 0))
        return holder == self.owner and bool(self._ask("holds", self.owner, self._who, key))

    def alive(self, owner: str) -> bool:
        if time.monotonic() - self._asked > ASKED_AGAIN_S:
            self._alive = self._ask("living", self.owner, self._who)
            self._asked = time.monotonic()
        return owner == self.owner or owner in self._alive

    def show(self, state: Mapping[str, float | int | str]) -> None:
        self._life.show(state)

    def close(self) -> None:
        self._closed.set()
        if self._beating.ident:
            self._beating.join()
            # Without an answer it is dead after a while; the folder may be gone, because all is done.
            with suppress(Exception):
                self._ask("close", self.owner, patience_s=ANSWER_S)
        self._life.close()

    def _go_on(self) -> None:
        while not self._closed.wait(BEAT_S):
            # Whoever asks next tells the user; this thread could not.
            with suppress(Exception):
                self._ask("show", self.owner, self._who)

    def _ask(self, method: str, *arguments: Any, patience_s: float = PATIENCE_S) -> Any:
        """A coordinator's answer, from the one that has been started in the meantime if need be."""
        ray = connect(self._cluster)
        gone = ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError
        until = time.monotonic() + patience_s
        while True:
            try:
                if self._actor is None:
                    if not self._folder.is_dir():
                        raise FileNotFoundError(self._folder)
                    self._actor = coordinator(ray, self._folder)
                    if not self._beating.ident:
                        self._beating.start()
                return ray.get(getattr(self._actor, method).remote(*arguments), timeout=ANSWER_S)
            except ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, Superseded):
                    raise error.cause from None
                problem: Exception = error.cause
            except gone as error:
                problem = error
            if time.monotonic() > until:
                raise UserError(
                    f"{self._folder}: its coordinator has not answered for {patience_s:.0f} s ({problem}); "
                    "see `ray status`, and run the same command again: what was done is kept"
                )
            self._actor = None
            time.sleep(0.2)


def coordinator(ray: Any, folder: Path) -> Any:
    """The actor for `folder`, started if there is none."""
    name = f"coordinator-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    options = {
        "name": name,
        "namespace": NAMESPACE,
        "get_if_exists": True,
        "lifetime": "detached",
        "max_restarts": -1,
        "num_cpus": 0,
        "resources": {HEAD: 0.001},
    }
    return ray.remote(Coordinator).options(**options).remote(folder, _end_actor)
