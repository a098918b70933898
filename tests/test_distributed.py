"""Real DeepSpeed in several processes trains what one process trains: the same losses, the same weights."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage

from tessy.processes import python_module

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(400)]

SPREADS: dict[str, dict[str, Any]] = {
    "zero2 on two nodes": {"nodes": 2, "zero": 2, "micro_batch": 2},
    "zero3": {"processes": 2, "zero": 3, "micro_batch": 2},
    "sequence-parallel": {"processes": 2, "zero": 3, "sequence_parallel": 2, "micro_batch": 1},
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process with the whole batch at once: 21 samples, so the last batch of an epoch is smaller."""
    folder = tmp_path_factory.mktemp("runs")
    stage.make_inputs(folder)
    return stage.run(stage.make_job(folder, "alone"))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return int(listening.getsockname()[1])


def other_node(partial: Path) -> subprocess.Popen[bytes]:
    """What the stage tells to run on the second node of a cluster that it does not know, run on this one."""
    attempt = partial / "work" / "attempts" / "1"
    return subprocess.Popen(python_module("train.agent", str(partial), str(attempt), "1"), cwd=stage.ROOT)


@pytest.mark.parametrize("name", SPREADS)
def test_the_same_batches_give_the_same_losses_and_weights(name: str, alone: Path) -> None:
    import torch

    execution = SPREADS[name]
    if execution.get("nodes"):
        execution = execution | {"rendezvous": f"localhost:{free_port()}"}
    partial = stage.make_job(alone.parent, name.replace(" ", "-"), **execution)
    started = stage.Started(partial)
    while execution.get("nodes") and not (partial / "work/attempts/1/node-0.json").exists():
        assert started.poll() is None
        time.sleep(0.05)
    other = other_node(partial) if execution.get("nodes") else None
    spread = started.artifact()
    assert other is None or other.wait(60) == 0
    assert len(stage.losses(spread)) == 6
    assert stage.losses(spread) == pytest.approx(stage.losses(alone), rel=2e-5)
    ours, theirs = stage.weights(spread), stage.weights(alone)
    assert ours.keys() == theirs.keys()
    for key, weight in theirs.items():
        torch.testing.assert_close(ours[key], weight, atol=2e-4, rtol=1e-3)


def test_packed_rows_adapters_and_kept_epochs_come_out_the_same(alone: Path) -> None:
    import torch
    from safetensors.torch import load_file

    settings = {"method": "lora", "packing": True, "batch_size": 4, "evaluate_epochs": [1]}
    one = stage.run(stage.make_job(alone.parent, "lora-one", settings))
    two = stage.run(stage.make_job(alone.parent, "lora-zero3", settings, processes=2, zero=3))
    assert stage.losses(two) == pytest.approx(stage.losses(one), rel=2e-5)
    for model in ("model", "epochs/1/model"):
        ours, theirs = (load_file(run / model / "model.safetensors") for run in (two, one))
        assert ours.keys() == theirs.keys() == stage.weights(alone).keys()
        for key, weight in theirs.items():
            torch.testing.assert_close(ours[key], weight, atol=2e-4, rtol=1e-3)
    last, first = stage.weights(one), load_file(one / "epochs/1/model/model.safetensors")
    assert any(not torch.equal(last[key], first[key]) for key in first)
