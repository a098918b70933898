"""How often the student solves problems with tests, and selection by it: real engine, judge and sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotator_model import train_to_answer
from curation_samples import write_jsonl
from jobs import job_at

from eval.pass_rates import pass_rates
from eval.prompts import asking
from tessy.artifacts import read_json, read_rows
from tessy.config.base import Sampler
from tessy.config.curation_recipe import CurationRecipe
from tessy.config.evaluate import CodeBenchmark
from tessy.config.models import ModelReference
from tessy.config.selection import PassRate
from tessy.experiment import plan_curation
from tessy.generation.models import NamedModel
from tessy.layout import CURATION, LEFT_OUT_ROWS, PROBLEMS
from tessy.runtime.stage import StageConfig
from tessy.stages.curation import run

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
SUM = "You are given two integers on one line, separated by a single space. Print their sum."
LARGER = "You are given two integers on one line, separated by a single space. Print the larger of them."
PROGRAMS = {SUM: "print(sum(map(int, input().split())))", LARGER: "print(7)"}
TESTS = {SUM: [("1 2\n", "3\n"), ("5 5\n", "10\n")], LARGER: [("1 7\n", "7\n"), ("8 2\n", "8\n")]}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that solves the first problem, and one test of the second."""
    words = asking(CodeBenchmark(name="x", kind="livecodebench_v6", source=".", instruction="ours")).prompt
    answers = {words(text, ""): f"```python\n{code}\n```" for text, code in PROGRAMS.items()}
    folder = tmp_path_factory.mktemp("student") / "model"
    train_to_answer(folder, answers, ["x"])
    return folder


def test_a_pass_needs_every_test(student: Path, tmp_path: Path) -> None:
    settings = PassRate(samples=2, max_tokens=120, sampler=Sampler(temperature=0))
    job = job_at(tmp_path, "curation", StageConfig())
    model = NamedModel(ModelReference(source=str(student), format="qwen3"), "student")
    problems = {"a": (SUM, TESTS[SUM]), "b": (LARGER, TESTS[LARGER])}
    assert pass_rates(job, settings, problems, model, 0) == {"a": 1.0, "b": 0.0}
    # Everything is journaled: the model may be gone.
    gone = NamedModel(ModelReference(source=str(student), format="qwen3"), "student")
    assert pass_rates(job, settings, problems, gone, 0) == {"a": 1.0, "b": 0.0}


def test_problems_are_selected_by_it(student: Path, tmp_path: Path) -> None:
    """TACO's layout has tests; a problem without any stays."""
    rows = []
    for text, tests in TESTS.items():
        inputs, outputs = zip(*tests, strict=True)
        rows.append({"question": text, "input_output": json.dumps({"inputs": inputs, "outputs": outputs})})
    untested = {
        "question": "Print the number of days between two given dates of one year.",
        "input_output": "",
    }
    source = write_jsonl(tmp_path / "taco.jsonl", [*rows, untested])
    sampler = {"temperature": 0}
    recipe = CurationRecipe.model_validate(
        {
            "name": "test",
            "curation": {
                "sources": [{"preset": "taco", "source": str(source)}],
                "check_benchmarks": False,
                "duplicates": {"near": False},
                "selection": {
                    "pass_rate": {"samples": 1, "max_tokens": 120, "sampler": sampler, "maximum": 0.5}
                },
            },
            "models": {"student": {"source": str(student), "format": "qwen3"}},
        }
    )
    (stage,) = plan_curation(recipe)
    job = job_at(tmp_path, "curation", stage.config)
    run(job)
    kept = {row["prompt"]: row["pass_rate"] for row in read_rows(job.out / PROBLEMS)}
    assert kept[LARGER] == 0.0
    assert set(kept) == {LARGER, untested["question"]}
    (gone,) = read_rows(job.out / LEFT_OUT_ROWS)
    assert (gone["rule"], gone["evidence"], gone["origin"]) == ("pass_rate", "1.000", "taco.jsonl:1")
    assert read_json(job.out / CURATION)["funnel"][-1]["rule"] == "pass_rate"
