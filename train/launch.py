"""Starts the processes of one training stage, on one node or several, and again when some are lost.

Every node runs `train.agent`, which the recipe's cluster places; they find each other through the stage's
folder. Nodes depend on each other, so if one ends, all end, and a new attempt goes on from the last
checkpoint. What the ranks print and report comes back through files in the attempt's folder.

Not covered: a run that goes on with fewer nodes; GPUs of one machine divided among several nodes (one node
with more processes is the same).
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from tessy.artifacts import read_json
from tessy.cluster import Broken, Executor, Resources, Work, Workers
from tessy.cluster.choosing import executor_of
from tessy.cluster.local import LocalExecutor
from tessy.cluster.worker import tail
from tessy.config.execution import Execution
from tessy.config.train import TrainExecution
from tessy.errors import UserError
from tessy.processes import python_module
from tessy.runtime.job import FIXED, Job
from tessy.runtime.stage import StageConfig
from train.checkpoints import COMPLETE
from train.ranks import MARK, Cause, Failure, Logs, failures, first, node_file

ATTEMPTS = "attempts"
"""Folder inside a stage's work folder with one of each attempt, by number."""
LOOK_S = 0.2
SETTLE_S = 10.0
"""How long the other nodes may take to tell why one has lost its connection."""
IN_VAIN: Mapping[Cause, int] = {"fault": 0, "loss": 10}
"""How many attempts in a row may end without a new checkpoint. What a rank did by itself it would do again;
nodes are lost for reasons of their own."""


def launch(job: Job[StageConfig], spread: TrainExecution) -> None:
    """Train in `spread`'s processes; raises `UserError` for what one of them refused, `RuntimeError` with the
    failure that came first."""
    in_vain, saved = 0, saved_step(job.work)
    while failed := attempt(job, spread, new_attempt(job.work)):
        if failed.cause == "refusal":
            raise UserError(failed.error)
        before, saved = saved, saved_step(job.work)
        in_vain = 0 if saved > before else in_vain + 1
        if in_vain > IN_VAIN[failed.cause]:
            raise RuntimeError(f"training failed: {failed}\n{failed.trace}".rstrip())
        said = f"training was interrupted: {failed}; it starts again from step {saved}"
        print(said, flush=True)
        job.say(said)


def attempt(job: Job[StageConfig], spread: TrainExecution, folder: Path) -> Failure | None:
    """Train until the end, or until something fails: then what failed first."""
    work, logs = gang(job, spread, folder), Logs(folder)
    try:
        with executor(job.execution, spread).start(work) as agents:
            try:
                while not agents.finished:
                    pass_on(job, logs)
                    agents.check()
                    time.sleep(LOOK_S)
            except Broken as broken:
                return explained(settled(agents, broken, folder), folder)
    finally:
        pass_on(job, logs)
    return None


def settled(agents: Workers, broken: Broken, folder: Path) -> Broken:
    """`broken`, once something tells why: the first to end may only have lost its connection to another."""
    deadline = time.monotonic() + SETTLE_S
    while explained(broken, folder).cause == "loss" and not _lost(broken) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        try:
            agents.check()
        except Broken as more:
            broken = more
    return broken


def gang(job: Job[StageConfig], spread: TrainExecution, folder: Path) -> Work:
    """The agents of all nodes, or that of the first if others are started by hand: says how."""
    command = python_module("train.agent", str(job.out.absolute()), str(folder.absolute()))
    started = spread.nodes
    if by_hand(job.execution):
        started = 1
        job.say(
            f"on the nodes 1 to {spread.nodes - 1} run, with the node's number: {shlex.join(command)} NODE"
        )
    size = job.execution.cluster.worker
    each = Resources(
        gpus=0 if size.gpus == 0 else spread.processes,
        cores=size.cores or spread.processes * job.execution.threads,
        memory_gib=size.memory_gib,
    )
    fixed = {name: os.environ[name] for name in FIXED if name in os.environ}
    return Work(job.name, command, folder.absolute(), started, each, fixed, gang=True)


def by_hand(execution: Execution) -> bool:
    """Whether the other nodes belong to no cluster that is known here."""
    return execution.cluster.kind == "local" and execution.train.rendezvous is not None


def executor(execution: Execution, spread: TrainExecution) -> Executor:
    """What places the agents. One node is the machine that runs the stage."""
    return executor_of(execution.cluster) if spread.nodes > 1 else LocalExecutor()


def new_attempt(work: Path) -> Path:
    """The folder of the next attempt. Its number is higher than all before, of runs that were killed, too."""
    (folder := work / ATTEMPTS).mkdir(exist_ok=True)
    made = folder / str(1 + max((int(path.name) for path in folder.iterdir()), default=0))
    made.mkdir()
    return made


def saved_step(work: Path) -> int:
    """The step of the last complete checkpoint in `work`, 0 without one."""
    complete = work.glob(f"checkpoints-*/checkpoint-*/{COMPLETE}")
    return max((int(path.parent.name.rpartition("-")[2]) for path in complete), default=0)


def pass_on(job: Job[StageConfig], logs: Logs) -> None:
    """Print what was printed, and forward messages."""
    for source, text in logs.new():
        if not text.startswith(MARK):
            print(f"{source}: {text}", flush=True)
        elif "metrics" in (message := json.loads(text[1:])):
            job.tracker.log(message["metrics"], step=message["step"])
        else:
            job.report(message)


def explained(broken: Broken, folder: Path) -> Failure:
    """What failed first where agents have ended: what a rank says of itself, or that a node was lost, or what
    others say of it."""
    found = first(failures(folder))
    if found and (found.cause != "loss" or not _lost(broken)):
        return found
    name, status = next(iter((_lost(broken) or broken.statuses).items()))
    cause: Cause = "loss" if status < 0 else "fault"
    said = f"{'was lost' if status < 0 else 'ended'}, status {status}"
    node = int(name.rpartition("-")[2])
    return Failure(None, node, host(folder, node), cause, said, tail(name, folder))


def host(folder: Path, node: int) -> str:
    """The machine that is `node` in an attempt, if it has said so."""
    path = folder / node_file(node)
    return str(read_json(path)["host"]) if path.exists() else "not begun"


def _lost(broken: Broken) -> dict[str, int]:
    """The agents that did not end by themselves."""
    return {name: status for name, status in broken.statuses.items() if status < 0}
