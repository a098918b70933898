"""Training that is killed at any step ends as if it had not been: same losses, same weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    stage.make_inputs(folder)
    return folder


def steps_logged(partial: Path) -> int:
    path = partial / "metrics.jsonl"
    return path.read_text().count('"train/loss"') if path.exists() else 0


def processes_in(partial: Path) -> list[str]:
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in lines.splitlines() if str(partial) in line]


def kill_after(partial: Path, steps: int, wait: float) -> None:
    """Start the stage, let it log `steps` more steps and `wait` seconds pass, and kill it."""
    process, target = stage.Started(partial), steps_logged(partial) + steps
    while steps_logged(partial) < target and process.poll() is None:
        time.sleep(0.01)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while processes_in(partial) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_in(partial), "a training process outlived its stage"


@pytest.mark.parametrize(
    ("name", "kills", "spread"),
    [("one", 2, {"micro_batch": 4}), ("zero2", 1, {"processes": 2, "zero": 2, "micro_batch": 2})],
)
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    name: str, kills: int, spread: dict[str, Any], runs: Path
) -> None:
    import torch

    settings = {"epochs": 8}
    calm = stage.run(stage.make_job(runs, f"calm-{name}", settings, save_steps=2, **spread))
    rng, partial = random.Random(name), stage.make_job(runs, name, settings, save_steps=2, **spread)
    for _ in range(kills):
        kill_after(partial, rng.randint(1, 8), rng.uniform(0, 0.2))
    killed = stage.run(partial)
    assert stage.losses(killed) == stage.losses(calm)
    ours, theirs = stage.weights(killed), stage.weights(calm)
    assert all(torch.equal(ours[key], weight) for key, weight in theirs.items())
    assert not list(killed.rglob("checkpoint-*"))
