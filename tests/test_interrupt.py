"""Ctrl-C during a synthesis: one line, status 130, nothing left running, nothing lost; and a killed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage
import yaml

from tessy.artifacts import read_parquet
from tessy.records import Trajectory
from tests.processes import descendants, end

ROOT = Path(__file__).parents[1]
PROBLEMS = 150
SERVED = "{dtype: float32, enforce_eager: true, kv_cache_memory_bytes: 67108864}"


def make_recipe(folder: Path) -> Path:
    """The student's own responses to many problems, by a tiny model of random weights."""
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    words = stage.tokenizer()
    config = stage.tiny_config(head_dim=32, max_position_embeddings=512, vocab_size=len(words))
    Qwen3ForCausalLM(config).save_pretrained(folder / "model")
    words.save_pretrained(folder / "model")
    rows = [json.dumps({"id": f"p{number}", "prompt": f"problem {number}"}) for number in range(PROBLEMS)]
    (folder / "problems.jsonl").write_text("\n".join(rows))
    (folder / "test.jsonl").write_text(json.dumps({"Problem": "problem 0", "Answer": 1}))
    model = {"source": str(folder / "model"), "format": "qwen3"}
    sampler = {"temperature": 1.0}
    benchmark = {
        "name": "b",
        "kind": "lm_eval",
        "task": "tessy_aime2024",
        "metric": "exact_match",
        "filter": "all",
    }
    recipe: dict[str, Any] = {
        "name": "tiny",
        "description": "For a test.",
        "seed": 0,
        "problems": {"source": str(folder / "problems.jsonl")},
        "models": {"student": model, "teacher": model},
        "synthesis": {"methods": ["student_only"], "chunk_tokens": 20, "max_tokens": 400, "sampler": sampler},
        "train": {**stage.SETTINGS, "seeds": [0], "max_length": 460},
        "evaluate": {
            "benchmarks": [{**benchmark, "data": str(folder / "test.jsonl")}],
            "samples": 1,
            "max_tokens": 9,
            "sampler": sampler,
        },
        # One stage at a time: nothing but synthesis is under way when it is interrupted.
        "execution": {"jobs": 1, "concurrency": 2, "tracking": {"wandb": "disabled"}},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "tiny.yaml"


def interrupted_when(
    ready: Callable[[], bool], recipe: Path, *overrides: str, by: signal.Signals = signal.SIGINT
) -> tuple[int, str]:
    """Run the recipe, press Ctrl-C once `ready`, or kill the run alone; status and output, after everything
    has ended."""
    command = [sys.executable, "-m", "tessy.cli", "run", str(recipe), *overrides]
    command += ["--runs-dir", str(recipe.parent / "runs")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # What a shell starts in the background takes no notice of Ctrl-C, nor would what that starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 300
        while not ready():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "it does not get that far"
            time.sleep(0.05)
        family = descendants(process.pid)
        assert family
        if by is signal.SIGINT:
            # As a terminal does: to the whole foreground group.
            os.killpg(process.pid, by)
        else:
            process.send_signal(by)
        output, _ = process.communicate(timeout=60)
        assert end(family, within_s=1 if by is signal.SIGINT else 20), "something outlived the run"
        return process.returncode, output
    finally:
        process.kill()


def turns(folder: Path) -> dict[str, str]:
    """The accepted text of every sample in the journals of half-done stages."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.partial/work/*.journal/turns-*.jsonl")):
        for line in path.read_bytes().splitlines(keepends=True):
            row = json.loads(line) if line.endswith(b"\n") else {"sample_id": "", "text": "", "part": ""}
            if row["part"] == "thinking":
                found[row["sample_id"]] = found.get(row["sample_id"], "") + row["text"]
    return found


@pytest.mark.timeout(700)
@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("{kind: transformers}", marks=pytest.mark.slow),
        pytest.param(
            f"{{kind: server, arguments: {SERVED}}}",
            marks=pytest.mark.vllm,
        ),
    ],
    ids=["transformers", "server"],
)
def test_ctrl_c_leaves_nothing_running_and_loses_nothing(tmp_path: Path, engine: str) -> None:
    recipe, runs = make_recipe(tmp_path), tmp_path / "runs" / "tiny"
    status, said = interrupted_when(
        lambda: len(turns(runs)) > 5,
        recipe,
        f"execution.engines.student={engine}",
        "execution.probe_tokens=16",
    )
    assert status == 130, said
    assert said.rstrip().endswith("Interrupted. Run the same command again to go on from here.")
    assert "Traceback" not in said
    assert "tokens/s in plain requests" in said
    written = turns(runs)
    assert 5 < len(written) < PROBLEMS

    served = "server" in engine
    last = "lmeval-student" if served else "synthesize-student_only"

    def far_enough() -> bool:
        return any(runs.glob(f"{last}-*[!l]/manifest.json"))

    # How fast a stage runs is no part of what it makes; what runs the model is (`Numerics`).
    again = (f"execution.engines.student={engine}", "execution.concurrency=64")
    by = signal.SIGKILL if served else signal.SIGINT
    status, said = interrupted_when(far_enough, recipe, *again, by=by)
    assert status == (-signal.SIGKILL if served else 130), said
    (made,) = runs.glob("synthesize-student_only-*/trajectories.parquet")
    if served:
        assert any((runs / "servers").glob("student-*-0.log"))
        kept = (runs / "servers" / "keeper.log").read_text()
        assert kept.count("student server 0: starting") == 2, "one for each run, whatever its stages"
        assert "goes on with the servers of the run" in said
    found = {t.sample_id: t for t in read_parquet(made, Trajectory)}
    assert len(found) == PROBLEMS
    for sample_id, text in written.items():
        assert found[sample_id].text.startswith(text)
