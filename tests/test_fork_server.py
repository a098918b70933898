"""Stages start with their libraries loaded, tell how they ended, and never outlive the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tessy.artifacts import write_json
from tessy.config.execution import Execution, Tracking
from tessy.processes import PARENT
from tessy.runtime.fork_server import ForkServer
from tessy.runtime.job import JOB, Spec
from tessy.runtime.run import environment
from tests.processes import end, parent
from tests.wandb_files import offline_runs

STAGES = """
import os, time
from pathlib import Path
from typing import Literal
import pyarrow
from tessy.errors import UserError
from tessy.runtime.stage import Kind, StageConfig

with open(os.environ["LOADED"], "a") as loaded:
    loaded.write(f"{len(os.listdir('/proc/self/task'))}\\n")

def good(job):
    job.say("hello")
    print("printed")
    (job.out / "made.txt").write_text(Path("/proc/self/comm").read_text())

def bad(job):
    raise UserError("no such thing")

def broken(job):
    raise RuntimeError("a fault")

def tables(job):
    job.tracker.table("rows", [{"stage": job.name}])

more_tables = tables

def endless(job):
    time.sleep(600)

def kind(name):
    return Kind(name, StageConfig, 1, f"{__name__}:{name.upper()}", f"{__name__}:{name}")

GOOD, BAD, BROKEN, ENDLESS = map(kind, ("good", "bad", "broken", "endless"))
TABLES, MORE_TABLES = map(kind, ("tables", "more_tables"))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkServer]:
    (tmp_path / "some_stages.py").write_text(STAGES)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    made = ForkServer(environment(1) | {"PYTHONPATH": path, "LOADED": str(tmp_path / "loaded")})
    yield made
    made.close()


class Started:
    """A stage that does what `function` above does."""

    def __init__(
        self,
        server: ForkServer,
        function: str,
        folder: Path,
        module: str = "some_stages",
        wandb: Literal["offline", "disabled"] = "disabled",
    ) -> None:
        self.artifact = folder / function
        self.partial = folder / f"{function}.partial"
        self.partial.mkdir()
        spec = Spec(
            recipe="x",
            name=function,
            kind=f"{module}:{function.upper()}",
            fingerprint="x",
            config={},
            inputs={},
            execution=Execution(tracking=Tracking(wandb=wandb)),
        )
        write_json(self.partial / JOB, spec.plain)
        self.pipe, theirs = os.pipe()
        with (self.partial / "stage.log").open("ab") as log:
            server.start(function, [module], self.partial, log, theirs)
        os.close(theirs)
        event = server.event()
        assert (event.name, event.status) == (function, None)
        self.pid = event.pid

    def log(self) -> str:
        return (self.partial / "stage.log").read_text()


def test_a_stage_is_a_process_with_its_own_log_pipe_and_name(server: ForkServer, tmp_path: Path) -> None:
    stage = Started(server, "good", tmp_path)
    assert server.event() == ("good", stage.pid, 0)
    assert (stage.artifact / "made.txt").read_text() == "good\n"
    assert "printed" in (stage.artifact / "stage.log").read_text()
    assert json.loads(os.read(stage.pipe, 1000).splitlines()[0]) == {"say": "hello"}
    assert os.read(stage.pipe, 1000) == b""


def test_how_a_stage_ended_is_told(server: ForkServer, tmp_path: Path) -> None:
    bad = Started(server, "bad", tmp_path)
    assert server.event() == ("bad", bad.pid, 2)
    assert b"no such thing" in os.read(bad.pipe, 1000)
    broken = Started(server, "broken", tmp_path)
    assert server.event() == ("broken", broken.pid, 1)
    assert "RuntimeError: a fault" in broken.log()
    endless = Started(server, "endless", tmp_path)
    os.killpg(endless.pid, signal.SIGKILL)
    assert server.event() == ("endless", endless.pid, -signal.SIGKILL)
    lost = Started(server, "lost", tmp_path, module="no_such_module")
    assert server.event().status == 1
    assert "No module named 'no_such_module'" in lost.log()


def test_a_module_is_loaded_once_and_by_a_single_thread(server: ForkServer, tmp_path: Path) -> None:
    for function in ("good", "bad", "broken"):
        Started(server, function, tmp_path)
        server.event()
    assert (tmp_path / "loaded").read_text() == "1\n"


@pytest.mark.slow
def test_every_stage_s_tables_reach_the_mirror(tmp_path: Path) -> None:
    # W&B is loaded before the first fork here; its temporary folders must not be shared then.
    (tmp_path / "table_stages.py").write_text("import wandb\n" + STAGES)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    server = ForkServer(environment(1) | {"PYTHONPATH": path, "LOADED": str(tmp_path / "loaded")})
    try:
        for function in ("tables", "more_tables"):
            stage = Started(server, function, tmp_path, "table_stages", wandb="offline")
            assert server.event() == (function, stage.pid, 0)
            assert os.read(stage.pipe, 1000) == b""
    finally:
        server.close()
    runs = offline_runs(tmp_path / "wandb")
    assert [run.tables() for run in runs] == [{"rows": [["tables"]]}, {"rows": [["more_tables"]]}]


def test_stages_end_with_the_fork_server(server: ForkServer, tmp_path: Path) -> None:
    stage = Started(server, "endless", tmp_path)
    server.close()
    assert end([stage.pid])


def test_a_fork_server_that_was_killed_is_told_from_one_with_nothing_to_say(
    server: ForkServer, tmp_path: Path
) -> None:
    stage = Started(server, "endless", tmp_path)
    started_by = parent(stage.pid)
    assert started_by
    os.kill(started_by, signal.SIGKILL)
    with pytest.raises(EOFError):
        server.event()
    assert end([stage.pid])


def test_a_process_whose_parent_died_before_it_could_ask_ends_at_once(tmp_path: Path) -> None:
    told = {**os.environ, PARENT: "1"}
    command = [sys.executable, "-m", "tessy.runtime.job", str(tmp_path)]
    assert subprocess.run(command, env=told).returncode == -signal.SIGKILL
