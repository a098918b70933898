"""A prompt that leaves no room for its response is known before anything is written for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jobs import MODELS, job_at
from training_stage import make_inputs

from tessy.artifacts import read_json, read_parquet
from tessy.config.problems import Problems
from tessy.errors import UserError
from tessy.layout import LEFT_OUT, LENGTHS, PROBLEMS
from tessy.records import Problem
from tessy.runtime.job import Job
from tessy.stages.problems import Fit, ProblemsStage, run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a model that reads 256 tokens, and problems whose second is long."""
    folder = tmp_path_factory.mktemp("runs")
    make_inputs(folder, 1)
    rows = [{"id": n, "prompt": "so wait " * (2, 30, 14)[n]} for n in range(3)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def ran(runs: Path, too_long: str, **fit: Any) -> Job[ProblemsStage]:
    problems = Problems(source=str(runs / "problems.jsonl"), too_long=too_long)
    settings = {"models": MODELS, "max_tokens": 100, "max_length": 160} | fit
    config = ProblemsStage(problems=problems, fit=Fit(**settings))
    job = job_at(runs, "problems", config, {"student": "model-student-x", "teacher": "model-student-x"})
    run(job)
    return job


def test_it_is_left_out_and_counted(runs: Path) -> None:
    job = ran(runs, "leave_out")
    assert [one.problem_id for one in read_parquet(job.out / PROBLEMS, Problem)] == ["0", "2"]
    (said,) = read_json(job.out / LEFT_OUT)["examples"]["prompt too long for the student"]
    assert said.startswith("problems.jsonl:2: ")
    assert "59 fit: train.max_length 160, less synthesis.max_tokens 100 and the end" in said
    lengths = read_json(job.out / LENGTHS)
    assert lengths["student"]["longest"] > lengths["student"]["room"] == 59 >= lengths["student"]["median"]


def test_nothing_is_run_where_the_recipe_wants_none_left_out(runs: Path) -> None:
    with pytest.raises(
        UserError, match=r"problems\.too_long is refuse: 1 rows left out, .*raise train\.max_length"
    ):
        ran(runs, "refuse")
    assert (
        len(list(read_parquet(ran(runs, "refuse", max_tokens=10, max_length=255).out / PROBLEMS, Problem)))
        == 3
    )


def test_what_a_model_reads_at_once_counts_as_well(runs: Path) -> None:
    job = ran(runs, "leave_out", max_tokens=150, max_length=1000)
    (said,) = read_json(job.out / LEFT_OUT)["examples"]["prompt too long for the student"]
    assert "42 fit: student's context 256, less synthesis.max_tokens 150 and markup" in said


def test_the_system_prompt_of_training_takes_room(runs: Path) -> None:
    with_system = ran(runs, "leave_out", system="so wait " * 15)
    assert read_json(with_system.out / LEFT_OUT)["counts"]["prompt too long for the student"] == 2
