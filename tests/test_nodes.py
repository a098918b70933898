"""Training over nodes: two agents of torchrun under the local executor, undisturbed, killed, and failing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import training_stage as stage

from tessy.artifacts import read_json
from tessy.cluster.tending import REFUSED
from tessy.config.train import TrainExecution
from tessy.tracking import read_metrics
from tests.processes import descendants
from train.agent import meet
from train.ranks import MARK, Failure, Logs, failures, first, record

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]

LONG = {"epochs": 4}
STEPS = 12
TWO_NODES = {"nodes": 2, "micro_batch": 2, "save_steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    stage.make_inputs(runs)
    return runs


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    """One node with two processes."""
    spread = TWO_NODES | {"nodes": 1, "processes": 2}
    return stage.run(stage.make_job(folder, "one-node", LONG, **spread))


def log_of(partial: Path) -> str:
    return partial.with_suffix(".log").read_text()


def processes_in(partial: Path) -> list[str]:
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in lines.splitlines() if str(partial) in line]


def disturbed(partial: Path, when: Callable[[], bool], victim: Callable[[], int]) -> stage.Started:
    """The stage, of which the process `victim` is killed as soon as `when` holds."""
    started = stage.Started(partial)
    while not when() and started.poll() is None:
        time.sleep(0.01)
    os.kill(victim(), signal.SIGKILL)
    return started


def saved(partial: Path) -> bool:
    return any(partial.glob("work/checkpoints-*/checkpoint-*/complete"))


def node(partial: Path, number: int) -> int:
    """The process of a node's agent in the first attempt."""
    return int(read_json(partial / f"work/attempts/1/node-{number}.json")["pid"])


def steps(partial: Path) -> list[int]:
    return [int(row["step"]) for row in read_metrics(partial) if "train/loss" in row]


def test_two_nodes_train_what_one_node_trains(folder: Path, undisturbed: Path) -> None:
    partial = stage.make_job(folder, "two-nodes", LONG, **TWO_NODES)
    two = stage.run(partial)
    assert stage.losses(two) == pytest.approx(stage.losses(undisturbed), rel=1e-6)
    assert steps(two) == list(range(1, STEPS + 1))


def test_a_node_that_is_lost_costs_the_steps_since_the_last_checkpoint(
    folder: Path, undisturbed: Path
) -> None:
    partial = stage.make_job(folder, "lost-node", LONG, **TWO_NODES)
    started = disturbed(partial, lambda: saved(partial), lambda: node(partial, 1))
    assert started.wait() == 0, log_of(partial)[-3000:]
    interrupted = r"interrupted: node 1 \(.*\): was lost, status -9; it starts again from step (\d+)"
    again = re.search(interrupted, log_of(partial))
    assert again
    lost = partial.with_suffix("")
    assert stage.losses(lost) == pytest.approx(stage.losses(undisturbed), rel=1e-6)
    logged = steps(lost)
    assert set(logged) == set(range(1, STEPS + 1))
    assert all(step > int(again[1]) for step in logged if logged.count(step) > 1)
    assert not processes_in(partial)


def test_the_failure_that_came_first_is_shown_not_those_that_follow(folder: Path) -> None:
    partial = stage.make_job(folder, "failing", {"epochs": 1}, **TWO_NODES)
    # Only the first rank writes it, and cannot; the second waits for the first.
    (partial / "curve.json" / "in-the-way").mkdir(parents=True)
    assert stage.Started(partial).wait()
    said = log_of(partial)
    assert re.search(r"RuntimeError: training failed: rank 0 on node 0 \(.+\): IsADirectoryError", said)
    assert "in write_json" in said.rpartition("training failed")[2]
    # Once more from the checkpoint of the last step, and not again from there.
    assert len(list((partial / "work/attempts").iterdir())) == 2


def test_a_rank_that_is_killed_is_named(folder: Path) -> None:
    partial = stage.make_job(folder, "killed-rank", LONG, **TWO_NODES | {"save_steps": 50})
    started = disturbed(partial, lambda: bool(steps(partial)), lambda: descendants(node(partial, 1))[0])
    assert started.wait()
    said = log_of(partial)
    assert re.search(r"training failed: rank 1 on node 1 \(.+\): killed by SIGKILL", said)


def test_what_a_rank_refuses_ends_the_stage_at_once(folder: Path) -> None:
    partial = stage.make_job(folder, "refusing", {"max_length": 512}, **TWO_NODES)
    assert stage.Started(partial).wait() == REFUSED
    assert "over the model's context of 256 tokens" in log_of(partial)
    assert not (partial / "work/attempts/2").exists()


def test_nodes_that_do_not_come_are_named(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="node-1, node-2 of 3 nodes"):
        meet(tmp_path, 0, TrainExecution(nodes=3), patience_s=0.3)
    with pytest.raises(ConnectionError, match="node 0 is already part"):
        meet(tmp_path, 0, TrainExecution(nodes=3))


def test_the_first_failure_is_found_whoever_else_records_one(tmp_path: Path) -> None:
    for rank, cause, error in ((3, "loss", "closed by peer"), (1, "fault", "first"), (2, "fault", "second")):
        record(tmp_path, Failure(rank, 0, "host", cause, error))
    found = failures(tmp_path)
    assert [one.rank for one in found] == [3, 1, 2]
    assert str(first(found)) == "rank 1 on node 0 (host): first"


def test_messages_are_told_from_what_is_printed(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    (tmp_path / "rank-0.log").write_text(f'a\n{MARK}{{"x": 1}}\n\nhalf')
    assert list(logs.new()) == [("rank-0", "a"), ("rank-0", f'{MARK}{{"x": 1}}')]
    with (tmp_path / "rank-0.log").open("a") as log:
        log.write(" a line\n")
    assert list(logs.new()) == [("rank-0", "half a line")]
    assert list(logs.new()) == []
