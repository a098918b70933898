"""Whole runs of the smoke recipe: what they leave, what they reuse, and that kills change nothing.

Killed with SIGKILL in the middle of every kind of stage, the same command ends with the same artifacts.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tessy.artifacts import read_json, read_rows
from tessy.config.load import load
from tessy.experiment import plan
from tessy.tracking import read_metrics
from tests.wandb_files import offline_runs
from tests.wandb_server import server, sync

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "smoke.yaml"
OVERRIDES = ("execution.tracking.wandb=disabled",)
KINDS = {"model", "annotations", "predictor", "synthesize", "train", "evaluate", "lmeval", "instrument"}
TIMES = ("cpu_s", "wall_s", "peak_mib")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run, mirrored offline."""
    runs = tmp_path_factory.mktemp("calm")
    assert start(runs, "execution.tracking.wandb=offline").wait() == 0
    return runs / "smoke"


def start(runs: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tessy.cli", "run", str(RECIPE), *OVERRIDES, *more]
    command += ["--runs-dir", str(runs)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def working(folder: Path) -> dict[str, Path]:
    """Stages at work: name -> folder, for those whose own code has begun."""
    return {
        path.name.removesuffix(".partial").rpartition("-")[0]: path
        for path in folder.glob("*.partial")
        if (path / "metrics.jsonl").exists()
    }


def kinds(stages: Iterable[str]) -> set[str]:
    return {name.partition("-")[0] for name in stages}


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes that write to the log of a stage in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may have ended meanwhile
            log = (process / "fd" / "2").readlink()
            if log.name == "stage.log" and log.is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def content(folder: Path) -> dict[str, Any]:
    """What every artifact holds, times left out: file -> digest, or rows where those tell times."""
    found: dict[str, Any] = {}
    for stage in plan(load(RECIPE, OVERRIDES)):
        artifact = folder / stage.folder
        for name, file in read_json(artifact / "manifest.json")["files"].items():
            if name.endswith("verdicts.parquet"):
                found[f"{stage.name}/{name}"] = [without_times(row) for row in read_rows(artifact / name)]
            elif stage.name != "report":
                found[f"{stage.name}/{name}"] = file["sha256"]
    results = read_json(folder / "report" / "results.json")
    found["results"] = {key: value for key, value in results.items() if key not in ("timing", "created")}
    return found


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def test_a_run_leaves_results_by_the_contract(calm: Path) -> None:
    results = read_json(calm / "report" / "results.json")
    cells = {(row["method"], row["benchmark"]) for row in results["rows"]}
    benchmarks = {"ojbench_mini", "livecodebench_pro_mini", "out_of_domain_mini"}
    assert cells == {(m, b) for m in ("Student", "Teacher-Only", "TESSY") for b in benchmarks}
    assert set(results["synthesis"]) == {"Teacher-Only", "TESSY"}
    assert set(results["predictors"]["trained"]) == {
        "token_f1",
        "boundary_f1",
        "style_leak",
        "capability_leak",
        "right_traces",
    }
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in results["rows"])
    checks = {check["name"]: check["passed"] for check in results["instrument"]}
    for language in ("python", "cpp"):
        assert checks[f"gold programs accepted, {language}"]
        assert checks[f"mutated programs refused as wrong, {language}"]
    assert (calm / "report" / "index.html").stat().st_size > 10_000


def test_what_waits_for_wandb_sync_is_whole(calm: Path) -> None:
    mirrored = {run.name: run for run in offline_runs(calm / "wandb")}
    for stage in plan(load(RECIPE, OVERRIDES)):
        artifact, run = calm / stage.folder, mirrored[stage.name]
        rows = [{k: v for k, v in row.items() if k != "time"} for row in read_metrics(artifact)]
        assert run.metrics() == rows, stage.name
        logged = {one.name: list(one.aliases) for one in run.artifacts if one.name == stage.name}
        assert stage.fingerprint in logged[stage.name]
        tables = run.tables()
        assert len(tables) == {"report": 1, "evaluate": 2}.get(stage.kind.name, 0), stage.name
        for name in tables if stage.kind.name == "evaluate" else ():
            assert len(tables[name]) == len(read_rows(artifact / name / "verdicts.parquet"))
        assert "was lost" not in (artifact / "stage.log").read_text()


def test_wandb_sync_brings_all_of_a_run_to_a_server(calm: Path) -> None:
    mirrored = {run.name: run for run in offline_runs(calm / "wandb")}
    with server() as (address, received):
        sync(calm / "wandb", address)
    assert received.unknown == []
    for name, run in mirrored.items():
        arrived = received.history.get(run.run_id, [])
        own = [{key: one for key, one in row.items() if key[0] != "_"} for row in arrived]
        metrics = [{key: one for key, one in row.items() if not isinstance(one, dict)} for row in own]
        assert [row for row in metrics if row] == run.metrics(), name
        for table, rows in run.tables().items():
            assert received.table(run.run_id, table) == rows, name
        assert received.ended[run.run_id] == run.exit_code == 0
    logged = {one.name for run in mirrored.values() for one in run.artifacts}
    committed = {received.artifacts[key]["artifactCollectionName"] for key in received.committed}
    assert committed == logged


def test_trajectories_load_as_a_dataset(calm: Path) -> None:
    from datasets import load_dataset

    (folder,) = calm.glob("synthesize-tessy-*")
    dataset = load_dataset("parquet", data_files=str(folder / "trajectories.parquet"), split="train")
    summary = read_json(folder / "synthesis.json")
    assert len(dataset) == summary["trajectories"]
    used = read_json(folder / "manifest.json")["used"]
    assert set(used["predictors"]["trained"]) == {"student", "teacher"}
    assert {"sample_id", "problem_id", "prompt", "messages", "spans", "student_token_ids"} <= set(
        dataset.column_names
    )
    assert (folder / "README.md").exists()


def test_a_second_run_makes_nothing_again(calm: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in calm.glob("*-*/manifest.json")}
    assert start(calm.parent).wait() == 0
    assert {path: path.stat().st_mtime_ns for path in calm.glob("*-*/manifest.json")} == before


def test_a_run_killed_in_every_kind_of_stage_ends_as_an_undisturbed_one(calm: Path, tmp_path: Path) -> None:
    rng, killed = random.Random(7), set()
    usual_s = read_json(calm / "report" / "results.json")["timing"]
    folder = tmp_path / "stormy" / "smoke"
    while True:
        # Two processes write each method's traces: where things run never changes what comes out.
        process = start(tmp_path / "stormy", "execution.workers=2")
        # Wait for a kind of stage that has not been killed yet, let it get somewhere, and kill everything.
        while process.poll() is None and not kinds(working(folder)) - killed:
            time.sleep(0.02)
        name = next((name for name in working(folder) if name.partition("-")[0] not in killed), None)
        time.sleep(rng.uniform(0, 0.4) * usual_s.get(name, 0))
        if process.poll() is not None:
            break
        victims = kinds(working(folder))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed |= victims
        deadline = time.monotonic() + 5
        while processes_in(folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not processes_in(folder), "a stage outlived the run that started it"
    assert process.returncode == 0
    # A short stage can finish before it is killed; every kind that takes long was.
    assert killed >= KINDS
    assert content(folder) == content(calm)
    assert not list(folder.glob("*.partial"))
