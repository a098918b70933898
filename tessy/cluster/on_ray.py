"""Workers as actors of a Ray cluster, each in a bundle of its own of one placement group.

An actor (`Host`) starts the worker's command on its node, where Ray has set CUDA_VISIBLE_DEVICES, and says
how it ended. The actors and the placement group belong to the process that runs the stage, and end with it.
Only Ray Core is used: `tessy/cluster/README.md` says why not Ray Data.

Not covered: Ray Client (`ray://`), clusters that have to grow before a single worker fits, and further Ray
clusters once a process is connected to one.
"""

from __future__ import annotations

import importlib
import logging
import os
import platform
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tessy.cluster import Resources, Work, Workers, worker
from tessy.cluster.tending import Tending
from tessy.config.cluster import RayCluster
from tessy.errors import UserError

NAMESPACE = "tessy"
ADDRESS = "TESSY_RAY_ADDRESS"
"""Environment variable with the cluster's address for workers, which may be known otherwise on their node."""
LOST = -1
"""The status of a worker whose actor or node is gone."""
TOKEN = (
    "the Ray cluster asks for a token, and Ray sends none to a named address unless it is told to; set "
    "RAY_AUTH_MODE=token (the token is RAY_AUTH_TOKEN, or in ~/.ray/auth_token)"
)
ANSWER_S = 10.0
"""How long the head node may take to accept a connection."""
PATIENCE_S = 2 * worker.PATIENCE_S + 5
"""How long an actor is given to end its worker."""


def connect(cluster: RayCluster) -> Any:
    """The module ray, connected to `cluster`. Raises `UserError`; starts a cluster only where the address is
    `local`."""
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise UserError(
            "execution.cluster.kind: ray: the package ray is not installed; run: pip install 'tessy[cluster]'"
        ) from None
    if ray.is_initialized():
        return ray
    address = os.environ.get(ADDRESS, cluster.address)
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address.startswith("ray://"):
        raise UserError(
            f"execution.cluster.address: {address}: a stage is no Ray client; run the same command "
            "on a machine of the cluster, or there by `ray job submit`"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        _require_answer(address)
        ray.init(address, namespace=NAMESPACE, logging_level=logging.ERROR, log_to_driver=False)
    except ray.exceptions.AuthenticationError:
        raise UserError(f"execution.cluster.address: {address}: {TOKEN}") from None
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            f"execution.cluster.address: {address}: no Ray cluster that can be used is there "
            f"({error}); start one by `ray start --head`, join further machines to it by `ray start "
            "--address=HOST:6379`, and run the same command on one of them"
        ) from None
    finally:
        # Ray sets one of its own.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)
    return ray


def _require_answer(address: str) -> None:
    """Raise `OSError` where nothing listens at HOST:PORT; `ray.init` tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


class RayExecutor:
    """Workers on the nodes of `cluster`; a lost one is placed again in its bundle, where Ray finds room."""

    here = False

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster

    @contextmanager
    def start(self, work: Work) -> Iterator[Workers]:
        ray = connect(self._cluster)
        need = _need(work.each)
        spread = "STRICT_SPREAD" if work.gang else self._cluster.spread
        _require_room(ray, spread, work.count, need)
        work.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            ADDRESS: ray.get_runtime_context().gcs_address,
            **self._cluster.environment,
            **work.environment,
        }
        group = ray.util.placement_group([need] * work.count, spread)
        try:
            with Tending(work, lambda name: _Hosted(ray, group, need, work, name, environment)) as tending:
                yield _Watched(ray, group, need, tending)
        finally:
            ray.util.remove_placement_group(group)


class Host:
    """Runs one worker's command on the node where Ray has placed it. Its methods return at once, so that one
    thread does: the command dies with the thread that has started it."""

    def begin(self, name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        if not folder.is_dir():
            raise UserError(
                f"{platform.node()}: {folder} is not there; all machines of the Ray cluster must see the run "
                "folder under the same path"
            )
        self._process: subprocess.Popen[bytes] = worker.start(name, folder, command, environment)

    def poll(self) -> int | None:
        """The command's exit status; None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        worker.end(self._process)


class _Hosted:
    """A worker in an actor, asked for its status with one call at a time."""

    def __init__(
        self,
        ray: Any,
        group: Any,
        need: Mapping[str, float],
        work: Work,
        name: str,
        environment: Mapping[str, str],
    ) -> None:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        bundle = int(name.rpartition("-")[2])
        self._ray = ray
        self._host = (
            ray.remote(Host)
            .options(
                num_cpus=need["CPU"],
                num_gpus=need.get("GPU", 0),
                memory=need.get("memory"),
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle),
            )
            .remote()
        )
        self._asked = self._host.begin.remote(name, work.folder, list(work.command), dict(environment))
        self._status: int | None = None
        self.running = False

    @property
    def status(self) -> int | None:
        if self._status is None and self._ray.wait([self._asked], timeout=0)[0]:
            try:
                self._status = self._ray.get(self._asked)
            except self._ray.exceptions.RayActorError:
                self._status = LOST
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            self.running = self._status is None
            if self.running:
                self._asked = self._host.poll.remote()
            else:
                # Also frees its bundle for the one that takes its place.
                self._ray.kill(self._host)
        return self._status

    def end(self) -> None:
        if self._status is not None:
            return
        with suppress(self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError):
            # One that has no place yet would be waited for.
            if self.running:
                self._ray.get(self._host.end.remote(), timeout=PATIENCE_S)
        self._ray.kill(self._host)
        self.running, self._status = False, LOST


class _Watched:
    """Workers, and whether Ray has room for them."""

    def __init__(self, ray: Any, group: Any, need: Mapping[str, float], tending: Tending) -> None:
        self._ray, self._group, self._need, self._tending = ray, group, need, tending
        self._dashboard = _dashboard(ray)

    def check(self) -> None:
        self._tending.check()

    @property
    def finished(self) -> bool:
        return self._tending.finished

    def describe(self) -> str:
        text = self._tending.describe()
        if self._ray.util.placement_group_table(self._group)["state"] == "CREATED":
            return ", ".join(filter(None, (text, self._dashboard)))
        available = self._ray.available_resources()
        free = {name: available.get(name, 0) for name in self._need}
        wanted = f"{self._group.bundle_count} times {_said(self._need)}"
        return f"{text}, waiting for room on Ray: {wanted}; free are {_said(free)}"


def _dashboard(ray: Any) -> str:
    """The address of Ray's dashboard, where there is one."""
    # Returns what is known of the connection that there is.
    url = ray.init(ignore_reinit_error=True, logging_level=logging.ERROR).dashboard_url
    return f"http://{url}" if url else ""


def _need(each: Resources) -> dict[str, float]:
    """A worker's bundle, in Ray's terms: memory in bytes."""
    need: dict[str, float] = {"CPU": each.cores}
    if each.gpus:
        need["GPU"] = each.gpus
    if each.memory_gib is not None:
        need["memory"] = int(each.memory_gib * 2**30)
    return need


def _require_room(ray: Any, spread: str, count: int, need: Mapping[str, float]) -> None:
    """Raise `UserError` where `count` workers will never find room on the nodes that there are."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = [min(int(node.get(name, 0) // amount) for name, amount in need.items()) for node in nodes]
    room = {"STRICT_SPREAD": sum(map(bool, fit)), "STRICT_PACK": max(fit, default=0)}
    if count > (found := room.get(spread, sum(fit))):
        had = "; ".join(sorted(map(_said, nodes)))
        raise UserError(
            f"execution.cluster.worker: {_said(need)} for each of {count} workers, {spread}: the "
            f"Ray cluster has room for {found} ({len(nodes)} nodes: {had}); ask for less, lower "
            "execution.workers, or add nodes by `ray start --address=HOST:6379`"
        )


def _said(resources: Mapping[str, float]) -> str:
    """`2 CPU, 1 GPU, 8.0 GiB`."""
    parts = [f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU") if name in resources]
    memory = [f"{resources['memory'] / 2**30:.1f} GiB"] if "memory" in resources else []
    return ", ".join(parts + memory) or "nothing"
