"""NVIDIA's Multi-Process Service, with a small program in the place of its daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tessy.config.load import load
from tessy.engines.mps import CONTROL, LOGS, PIPES, multi_process_service
from tessy.errors import UserError


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control program that notes how it is called; the file of its notes."""
    notes, program = tmp_path / "notes", tmp_path / "bin" / CONTROL
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" "${PIPES}" $(test -t 0 || cat) >>{notes}\nexit ${{FAIL:-0}}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv(PIPES, raising=False)
    return notes


def test_what_starts_meanwhile_finds_the_daemon_and_nothing_is_left(daemon: Path) -> None:
    with multi_process_service():
        pipes = os.environ[PIPES]
        assert Path(pipes).is_dir()
        assert Path(os.environ[LOGS]).is_dir()
    assert daemon.read_text().splitlines() == [f"-d {pipes}", f"{pipes} quit"]
    assert not Path(pipes).exists()
    assert not {PIPES, LOGS} & os.environ.keys()


def test_a_daemon_that_somebody_started_is_used(
    daemon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PIPES, str(tmp_path))
    with multi_process_service():
        assert os.environ[PIPES] == str(tmp_path)
    assert os.environ[PIPES] == str(tmp_path)
    assert not daemon.exists()


def test_a_daemon_that_does_not_start_says_so(daemon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL", "3")
    with pytest.raises(UserError, match=f"mps: {CONTROL} -d ended with status 3"), multi_process_service():
        pass
    assert PIPES not in os.environ


def test_where_there_is_none_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(PIPES, raising=False)
    with (
        pytest.raises(UserError, match=f"{CONTROL} is not on the PATH; it comes with"),
        multi_process_service(),
    ):
        pass


RUN = """
import os, sys
from pathlib import Path
from dataclasses import dataclass
from typing import Any, ClassVar
from rich.console import Console
from tessy.config.execution import Execution, Tracking
from tessy.runtime.display import Display
from tessy.runtime.plan import Graph, Plan
from tessy.runtime.run import execute
from tessy.runtime.stage import Kind, StageConfig

class Look(StageConfig):
    pass

def run(job):
    (job.out / "pipes.txt").write_text(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "none"))

KIND = Kind("look", Look, 1, f"{__name__}:KIND", f"{__name__}:run")

@dataclass
class Recipe:
    name: str = "shared"
    execution: Execution = Execution(mps=True, tracking=Tracking(wandb="disabled"))
    plain: ClassVar[dict[str, Any]] = {}

def main():
    graph = Graph()
    graph.add(KIND, "look", Look(), {})
    with Display(Console()) as display:
        execute(Plan(Recipe(), tuple(graph.stages.values())), Path(sys.argv[1]), display)
"""


def test_stages_of_a_run_find_its_daemon(daemon: Path, tmp_path: Path) -> None:
    (tmp_path / "looking.py").write_text(RUN)
    command = [sys.executable, "-c", "import looking; looking.main()", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run(command, env=environment, check=True, timeout=120, capture_output=True)
    (found,) = tmp_path.glob("shared/look-*/pipes.txt")
    assert daemon.read_text().splitlines() == [f"-d {found.read_text()}", f"{found.read_text()} quit"]


def test_it_serves_one_machine() -> None:
    asked = ["execution.mps=true", "execution.cluster={kind: ray}"]
    with pytest.raises(UserError, match="`mps` starts a daemon on this machine, and cluster 'ray'"):
        load(Path("recipes/smoke.yaml"), asked)
