"""Runs that share a folder, as the points of a sweep do: every stage is made once, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tessy.artifacts import manifest_of

RUN = """
import os, sys, time
from pathlib import Path
from dataclasses import dataclass
from typing import Any, ClassVar
from rich.console import Console
from tessy.config.execution import Execution, Tracking
from tessy.runtime.display import Display
from tessy.runtime.plan import Graph, Plan
from tessy.runtime.run import execute
from tessy.runtime.stage import Kind, StageConfig

class Step(StageConfig):
    number: int

def run(job):
    with (job.out.parent / "made.txt").open("a") as made:
        made.write(f"{job.name}\\n")
    time.sleep(float(os.environ["STEP_S"]))

KIND = Kind("step", Step, 1, f"{__name__}:KIND", f"{__name__}:run")

@dataclass
class Recipe:
    name: str = "shared"
    execution: Execution = Execution(tracking=Tracking(wandb="disabled"))
    plain: ClassVar[dict[str, Any]] = {}

def main():
    graph, before = Graph(), None
    for number in range(3):
        before = graph.add(KIND, f"step{number}", Step(number=number), {"before": before})
    with Display(Console()) as display:
        execute(Plan(Recipe(), tuple(graph.stages.values())), Path(sys.argv[1]), display)
"""


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A run of three steps, each of which takes so long."""
    (folder / "steps.py").write_text(RUN)
    command = [sys.executable, "-c", "import steps; steps.main()", str(folder)]
    environment = os.environ | {
        "STEP_S": str(seconds),
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
    }
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def said(run: subprocess.Popen[str]) -> str:
    text, _ = run.communicate(timeout=60)
    return text


def made(folder: Path) -> list[str]:
    path = folder / "shared" / "made.txt"
    return path.read_text().split() if path.exists() else []


def test_two_runs_make_every_stage_once(tmp_path: Path) -> None:
    runs = [start(tmp_path, 0.5) for _ in range(2)]
    texts = [said(run) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts
    assert made(tmp_path) == ["step0", "step1", "step2"]
    assert sum(text.count("done in") for text in texts) == 3
    assert any("another run is making it" in text for text in texts)
    assert len([path for path in (tmp_path / "shared").glob("step*") if manifest_of(path)]) == 3


def test_what_a_killed_run_was_making_is_taken_over(tmp_path: Path) -> None:
    first = start(tmp_path, 600)
    while not made(tmp_path):
        time.sleep(0.05)
    second = start(tmp_path, 0.1)
    assert second.stdout is not None
    while "another run is making it" not in second.stdout.readline():
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    text = said(second)
    assert second.returncode == 0, text
    assert text.count("done in") == 3
    assert made(tmp_path) == ["step0", "step0", "step1", "step2"]
