"""A curation that is killed at any moment ends, by the same command, with the files of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from curation_samples import PROBLEMS, rows, write_jsonl
from predictor_model import make_predictor

from tessy.artifacts import read_json

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[1]
KILLS = 5


@pytest.fixture(scope="module", params=["rows", "vectors"])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of many rows, with duplicates, leaks and rows that cannot be read; or fewer rows, of which
    a model makes vectors."""
    folder = tmp_path_factory.mktemp("spec")
    if request.param == "vectors":
        return _of_vectors(folder)
    write_jsonl(folder / "a.jsonl", [*rows(9000), "{", *rows(500)])
    write_jsonl(folder / "b.jsonl", [*rows(2000, 9000), {"prompt": PROBLEMS[7]}])
    test = {"id": "t", "prompt": PROBLEMS[7], "dataset": "ICPC", "language": "cpp", "difficulty": "easy"}
    write_jsonl(folder / "oj" / "prompts" / "full.jsonl", [test])
    path = folder / "spec.yaml"
    path.write_text(
        f"""name: killed
curation:
  sources: [{{source: {folder}/a.jsonl, name: a}}, {{source: {folder}/b.jsonl, name: b}}]
  held_out: {{share: 0.05}}
  selection: {{problems: 7000, samples: 9000}}
benchmarks: [{{name: oj, kind: ojbench, source: {folder}/oj}}]
"""
    )
    return path


def _of_vectors(folder: Path) -> Path:
    write_jsonl(folder / "a.jsonl", [*rows(1200), "{", *rows(100)])
    model = make_predictor(folder / "model")
    path = folder / "spec.yaml"
    path.write_text(
        f"""name: killed
curation:
  sources: [{{source: {folder}/a.jsonl}}]
  check_benchmarks: false
  duplicates: {{embedding: {{model: {model}, threshold: 0.999, max_tokens: 64}}}}
  held_out: {{share: 0.05}}
"""
    )
    return path


def start(spec: Path, runs: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "tessy.cli", "curate", str(spec), "--runs-dir", str(runs)]
    return subprocess.Popen(
        [*command, "--processes", "2", "execution.tracking.wandb=disabled"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def content(runs: Path) -> dict[str, str]:
    """Every file of the artifact, by its digest."""
    (manifest,) = runs.glob("killed/curation-*/manifest.json")
    return {name: file["sha256"] for name, file in read_json(manifest)["files"].items()}


def workers(runs: Path) -> list[str]:
    """Processes that write to the stage's log."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            log = (process / "fd" / "2").readlink()
            if log.name == "stage.log" and log.is_relative_to(runs):
                found.append(process.name)
    return found


def test_kills_change_nothing(spec: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    assert start(spec, tmp_path / "calm").wait() == 0
    whole = time.monotonic() - began
    rng, killed = random.Random(0), 0
    for _ in range(KILLS):
        process = start(spec, tmp_path / "killed")
        try:
            if process.wait(timeout=rng.uniform(0.05, 0.5) * whole) == 0:
                break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            time.sleep(1.0)
            assert not workers(tmp_path / "killed"), "what a killed run started goes on working"
    else:
        assert start(spec, tmp_path / "killed").wait() == 0
    assert killed >= 1
    assert content(tmp_path / "killed") == content(tmp_path / "calm")
