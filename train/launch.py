"""Starts the training processes of one stage with torchrun, and forwards the messages of the first one.

Each process is `train.worker`. Messages to the stage (progress, metrics, errors) travel as marked lines
on standard output; everything else goes to the stage's log. If one process ends, all end: a worker
dies with its launcher, the launcher with the stage.

Other nodes run the command that this stage prints, in the same run folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tessy.config.train import TrainExecution
from tessy.errors import UserError
from tessy.processes import die_with_parent, python_module, with_parent
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig

MARK = "\x1e"
"""Opens a line that is a message."""


def send(message: Mapping[str, Any]) -> None:
    """Send a message to the stage. One write per line, so that lines of several processes do not mix."""
    os.write(1, f"\n{MARK}{json.dumps(message)}\n".encode())


class Relay:
    """The tracker in a worker: forwards to the stage's tracker."""

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        send({"metrics": dict(metrics), "step": step})

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Tables are shown by the stage's own process."""


def launch(job: Job[StageConfig], spread: TrainExecution) -> None:
    """Train in `spread`'s processes; raises `UserError` for what one of them refused."""
    arguments = torchrun_arguments(job, spread)
    if spread.nodes > 1:
        job.say(
            "on each other node run: PYTHONSAFEPATH=1 python -m torch.distributed.run " + " ".join(arguments)
        )
    command = python_module("train.launch", *arguments)
    refusal = ""
    with subprocess.Popen(
        command, env=with_parent(), stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                refusal = refusal or _pass_on(job, json.loads(line[1:]))
            else:
                print(line, end="", flush=True)
    if refusal:
        raise UserError(refusal)
    if process.returncode:
        raise RuntimeError(f"a training process ended with a fault; status {process.returncode}")


def torchrun_arguments(job: Job[StageConfig], spread: TrainExecution) -> list[str]:
    meet = ["--standalone"]
    if spread.nodes > 1:
        endpoint = f"--rdzv-endpoint={spread.rendezvous}"
        meet = ["--rdzv-backend=c10d", endpoint, f"--rdzv-id={job.out.name}"]
    size = [f"--nnodes={spread.nodes}", f"--nproc-per-node={spread.processes}", "--max-restarts=0"]
    return [*size, *meet, "-m", "train.worker", str(job.out.resolve())]


def _pass_on(job: Job[StageConfig], message: Mapping[str, Any]) -> str:
    """Forward a message; returns the error, if it is one."""
    if "metrics" in message:
        job.tracker.log(message["metrics"], step=message["step"])
    elif "error" not in message:
        job.report(message)
    return str(message.get("error", ""))


if __name__ == "__main__":
    die_with_parent()
    from torch.distributed.run import main

    os.environ |= with_parent()
    main(sys.argv[1:])
