"""Helping with a stage: too late, and whose measurements are whose. `join` below is the stage's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tessy.artifacts import write_json
from tessy.config.execution import Execution
from tessy.errors import UserError
from tessy.runtime import job as stages
from tessy.runtime.stage import Kind, StageConfig
from tessy.tracking import read_metrics


class SharedStage(StageConfig):
    finished_meanwhile: bool


KIND = Kind("k", SharedStage, 1, f"{__name__}:KIND", run=f"{__name__}:run", join=f"{__name__}:join")


def join(job: stages.Job[SharedStage]) -> None:
    assert job.shared is not None
    if job.config.finished_meanwhile:
        shutil.rmtree(job.shared)
    else:
        job.tracker.log({"tokens": 1})
    (job.shared / "missing").read_text()


def stage_at(folder: Path, *, finished_meanwhile: bool) -> Path:
    folder.mkdir()
    spec = stages.Spec(
        recipe="r",
        name="s",
        kind=KIND.declared,
        fingerprint="x",
        config={"finished_meanwhile": finished_meanwhile},
        inputs={},
        execution=Execution(),
    )
    write_json(folder / stages.JOB, spec.plain)
    return folder


def test_whoever_joins_what_is_finished_meanwhile_has_nothing_to_do(tmp_path: Path) -> None:
    stages.join(stage_at(tmp_path / "s.partial", finished_meanwhile=True))


def test_what_is_missing_while_a_stage_is_under_way_is_a_fault(tmp_path: Path) -> None:
    folder = stage_at(tmp_path / "s.partial", finished_meanwhile=False)
    with pytest.raises(FileNotFoundError):
        stages.join(folder)
    (row,) = read_metrics(folder)
    assert row["tokens"] == 1
    assert "/" in row["joined"]


def test_where_nothing_is_under_way_nobody_can_join(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no stage is under way here"):
        stages.join(tmp_path)
