"""Submits what was rendered with the cluster's own tool, and asks it how the job is: one class per tool.

Not covered: what is submitted (`tessy.launch.rendering`), waiting (`tessy.launch.following`).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import yaml

from tessy.cluster.on_slurm import refusal
from tessy.config.launch import Target
from tessy.errors import UserError
from tessy.processes import python_module

State = Literal["waiting", "running", "succeeded", "failed", "gone"]
"""`gone`: the cluster no longer knows the job, and nothing tells how it ended."""
ACTIVE: tuple[State, ...] = ("waiting", "running")
TOOL_TIMEOUT_S = 120
LAST_LINES = "20"


SLURM_WAITING = (
    *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED"),
    *("SUSPENDED", "RESIZING", "STOPPED", "SPECIAL_EXIT", "RESV_DEL_HOLD"),
)
SLURM_RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING")
HEAD_FIELDS = {
    "worker": "execution.launch.head",
    "time_minutes": "execution.launch.time_minutes",
    "options": "execution.launch.options",
}
"""What is said of the head job elsewhere than of workers."""
RAY_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "STOPPED": "failed",
    "WAS STOPPED": "failed",
}
SKY_STATES: dict[int, State] = {0: "succeeded", 100: "failed", 101: "running", 103: "failed"}
"""By exit status of `sky logs --status`."""


class Cluster(Protocol):
    """One target's tool. Every method raises `UserError` where the tool is missing or refuses."""

    def submit(self, file: Path) -> str:
        """Hand in the rendered `file`; returns the job's id."""
        ...

    def find(self) -> str | None:
        """The id of a job of this name that waits or runs: a launch was killed before it had noted it."""
        ...

    def state(self, job: str) -> State: ...

    def log(self, job: str, *, growing: bool) -> list[str]:
        """The command that prints the end of the job's log, and what is added while it is `growing`."""
        ...

    def cancel(self, job: str) -> str:
        """The command that cancels it, for people."""
        ...


def cluster_of(target: Target, name: str, folder: Path) -> Cluster:
    """The tool for `target`; the job is called `name`, and the launch's files are in `folder`."""
    if target == "slurm":
        return Slurm(name, folder)
    if target == "ray":
        return Ray(folder)
    return SkyPilot(name) if target == "sky" else Kubernetes(name)


class Slurm:
    """sbatch and squeue. How a job ended is in a file that the job writes last: accounting is optional, and
    the controller forgets a job minutes after its end."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder

    def find(self) -> str | None:
        said = _run([tool("squeue", INSTALL_SLURM), "--noheader", "--name", self._name, "--format=%i"])
        return next(iter(said.split()), None)

    def submit(self, file: Path) -> str:
        done = _tried([tool("sbatch", INSTALL_SLURM), "--parsable", str(file)])
        if done.returncode:
            raise refusal(done.stderr.strip() or done.stdout.strip(), HEAD_FIELDS)
        return done.stdout.strip().partition(";")[0]

    def state(self, job: str) -> State:
        command = [tool("squeue", INSTALL_SLURM), "--noheader", "--jobs", job, "--format=%T"]
        done = _tried(command)
        if done.returncode and "Invalid job id" not in done.stderr:
            raise UserError(_refused(command, done))
        state = done.stdout.strip()
        if state in SLURM_WAITING:
            return "waiting"
        if state in SLURM_RUNNING:
            return "running"
        return self._ended(job)

    def _ended(self, job: str) -> State:
        try:
            status = (self._folder / f"status-{job}").read_text(encoding="utf-8").strip()
        except OSError:
            return "gone"
        return "succeeded" if status == "0" else "failed"

    def log(self, job: str, *, growing: bool) -> list[str]:
        return ["tail", "-n", LAST_LINES, *["-F"] * growing, str(self._folder / f"head-{job}.log")]

    def cancel(self, job: str) -> str:
        return f"scancel {job}"


class Ray:
    """Ray's job server. Submitted through its Python client, everything else through `ray job`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ray.yaml"

    def find(self) -> str | None:
        said = _run(python_module("tessy.launch.ray_submit", "--find", str(self._file))).split()
        return said[-1] if said else None

    def submit(self, file: Path) -> str:
        return _run(python_module("tessy.launch.ray_submit", str(file))).split()[-1]

    def state(self, job: str) -> State:
        done = _tried(self._job("status", job))
        said = re.findall(
            r"Status for job '.*': (\w+)|Job '.*' (succeeded|failed|was stopped)", done.stdout + done.stderr
        )
        if not said:
            if "does not exist" in done.stderr + done.stdout:
                return "gone"
            raise UserError(_refused(self._job("status", job), done))
        word = next(filter(None, said[-1])).upper()
        return RAY_STATES[word]

    def log(self, job: str, *, growing: bool) -> list[str]:
        return self._job("logs", job, *["--follow"] * growing)

    def cancel(self, job: str) -> str:
        return shlex.join(["ray", "job", "stop", job, *self._address()])

    def _job(self, verb: str, job: str, *more: str) -> list[str]:
        return python_module(
            "ray.scripts.scripts", "job", verb, job, *more, "--log-style", "record", *self._address()
        )

    def _address(self) -> list[str]:
        address = yaml.safe_load(self._file.read_text(encoding="utf-8"))["address"]
        return [] if address == "auto" else ["--address", address]


class SkyPilot:
    """sky. The cluster has the job's name and runs one job at a time."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find(self) -> str | None:
        return self._name if self.state(self._name) in ACTIVE else None

    def submit(self, file: Path) -> str:
        command = [
            tool("sky", INSTALL_SKY),
            "launch",
            "--yes",
            "--detach-run",
            "--cluster",
            self._name,
            str(file),
        ]
        # Provisioning takes minutes and says what it does.
        if subprocess.run(command, env=_environment()).returncode:
            raise UserError(f"`{shlex.join(command)}` failed; its messages above say why")
        return self._name

    def state(self, job: str) -> State:
        done = _tried([tool("sky", INSTALL_SKY), "logs", job, "--status"])
        return SKY_STATES.get(done.returncode, "gone")

    def log(self, job: str, *, growing: bool) -> list[str]:
        way = "--follow" if growing else "--no-follow"
        return [tool("sky", INSTALL_SKY), "logs", job, "--tail", LAST_LINES, way]

    def cancel(self, job: str) -> str:
        return f"sky cancel {job}  (or sky down {job}, which deletes its disk as well)"


class Kubernetes:
    """kubectl, with the context and namespace that it is set to."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find(self) -> str | None:
        return self._name if self.state(self._name) in ACTIVE else None

    def submit(self, file: Path) -> str:
        kubectl = tool("kubectl", INSTALL_KUBECTL)
        _require_idle(self, self._name)
        # A RayJob runs once: what an earlier launch left is replaced.
        _run([kubectl, "delete", "--ignore-not-found", "-f", str(file)])
        _run([kubectl, "create", "-f", str(file)])
        return self._name

    def state(self, job: str) -> State:
        path = "jsonpath={.status.jobDeploymentStatus}/{.status.jobStatus}"
        command = [tool("kubectl", INSTALL_KUBECTL), "get", "rayjob", job, "-o", path]
        done = _tried(command)
        if "NotFound" in done.stderr:
            return "gone"
        if done.returncode:
            raise UserError(_refused(command, done))
        deployment, _, status = done.stdout.strip().partition("/")
        if deployment in ("Complete", "Failed", "ValidationFailed"):
            return "succeeded" if status == "SUCCEEDED" else "failed"
        return "running" if status == "RUNNING" else "waiting"

    def log(self, job: str, *, growing: bool) -> list[str]:
        kubectl = tool("kubectl", INSTALL_KUBECTL)
        return [kubectl, "logs", *["--follow"] * growing, "--tail", LAST_LINES, f"job/{job}"]

    def cancel(self, job: str) -> str:
        return f"kubectl delete rayjob {job}"


def _require_idle(cluster: Cluster, name: str) -> None:
    """Raise `UserError` where a job of that name is at work, which was launched from elsewhere: it would be
    replaced."""
    if cluster.state(name) in ACTIVE:
        raise UserError(
            f"job {name} is at work already, launched from another run folder; give this one another "
            f"--name, or cancel that one: {cluster.cancel(name)}"
        )


INSTALL_SLURM = "on a login node of the cluster it is there; elsewhere: sudo apt-get install slurm-client"
INSTALL_SKY = "pipx install 'skypilot[aws]' (or another cloud, or kubernetes)"
INSTALL_KUBECTL = "sudo apt-get install kubernetes-client, or your cluster's own package of kubectl"


def tool(name: str, install: str) -> str:
    """The path of a command; raises `UserError` with what installs it."""
    found = shutil.which(name, path=_environment()["PATH"])
    if found is None:
        raise UserError(f"`{name}` is not on this machine; install it: {install}")
    return found


def _environment() -> dict[str, str]:
    """With the commands beside this Python, whether or not its environment is activated."""
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}


def _tried(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            timeout=TOOL_TIMEOUT_S,
            # A Ctrl-C is about following; it must not break off what the tool is doing.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"`{shlex.join(command)}` said nothing for {TOOL_TIMEOUT_S} s; try again") from None


def _run(command: Sequence[str]) -> str:
    done = _tried(command)
    if done.returncode:
        raise UserError(_refused(command, done))
    return done.stdout


def _refused(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
    return f"`{shlex.join(command)}` failed with status {done.returncode}:\n" + "\n".join(said)
