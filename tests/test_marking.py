"""Segments marked by the recipe's own model on its own engine, through the real stage code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from annotator_model import OPENINGS, PROMPT, answer_to, segments, train_annotator
from jobs import job_at

from tessy.boundary.annotators import Annotated
from tessy.boundary.segments import Segment
from tessy.config.base import Generation
from tessy.config.load import load
from tessy.config.models import ModelReference
from tessy.config.predictors import Agreement, Annotation, LanguageModelAnnotator
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.generation.annotation import Segments, mark
from tessy.generation.asking import Asking
from tessy.generation.models import NamedModel
from tessy.stages.annotate import AnnotateStage, agreement, require_both_kinds

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"
OWN = {
    "kind": "llm",
    "model": "student",
    "thinking": True,
    "sampler": {"temperature": 0.0, "top_p": 1.0, "top_k": 0},
    "max_tokens": 60,
    "attempts": 2,
}
ASKED = "kind: llm, prompt: style_spans_1, max_tokens: 9, attempts: 1, sampler: {temperature: 0}"


def own(prompt: Path, **changes: Any) -> LanguageModelAnnotator:
    """The student as annotator, asked by the prompt in that file."""
    return LanguageModelAnnotator(**{**OWN, "prompt": str(prompt), **changes})


def asking(model: Path) -> Asking:
    return Asking("annotator", 0, {"student": NamedModel(reference_to(model), "student")})


def reference_to(model: Path) -> ModelReference:
    return ModelReference(source=str(model), format="qwen3")


@pytest.mark.slow
@pytest.mark.parametrize("thinking", [True, False])
def test_the_recipes_own_model_marks_segments(tmp_path: Path, thinking: bool) -> None:
    model = tmp_path / "model"
    train_annotator(model, ["ok" if thinking else None])
    (tmp_path / "prompt.txt").write_text(PROMPT)
    annotator = own(tmp_path / "prompt.txt", thinking=thinking)
    second = Agreement(annotator=annotator, segments=30)
    config = AnnotateStage(
        role="student",
        models={"student": reference_to(model)},
        engines={},
        synthesis=Generation(max_tokens=60, sampler=annotator.sampler),
        predictors=Annotation(annotator=annotator, problems=2, segment_words=60, segments=100),
        seed=0,
    )
    job, task = job_at(tmp_path, "annotations-student", config), Segments(segments()[::3], {})
    found = mark(job, annotator, task, asking(model))
    # This engine cannot hold answers to a schema, and that is on record.
    assert job.used.json_schema["annotator-0"] is False
    right = sum(
        list(found.style.get(s.segment_id, [(-1, -1)]))
        == [(0, len(opening)) for opening in OPENINGS if opening and s.text.startswith(opening)]
        for s in task.segments
    )
    assert all(answer_to(s.text) for s in task.segments)
    assert right >= 0.9 * len(task.segments), found.outcomes
    # At temperature 0 a second pass says the same.
    again = agreement(job, second, found, task, replace(asking(model), name="second-annotator"))
    assert again["kappa"] == 1.0
    assert again["segments"] >= 27


def test_an_own_annotator_is_an_input_and_an_endpoint_is_not() -> None:
    def annotation(model: str, thinking: str = "true") -> Any:
        named = f"{{{ASKED}, model: {model}, thinking: {thinking}}}"
        url = "execution.annotator.url=http://localhost:1/v1"
        return plan(load(MINI, [f"predictors.annotator={named}", url])).stage("annotations-student")

    assert annotation("teacher").inputs["teacher"] == "model-teacher"
    assert "teacher" in annotation("teacher").config.models
    assert set(annotation("somebody").inputs) == {"student", "problems"}
    assert annotation("teacher").config != annotation("teacher", "false").config


def test_an_annotator_without_an_endpoint_is_refused() -> None:
    with pytest.raises(UserError, match=r"section `execution.annotator` is missing"):
        load(MINI, [f"predictors.annotator={{{ASKED}, model: somebody, thinking: false}}"])


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ({}, "no style marked in 2 segments of the student's thinking, 0 of them annotated"),
        ({"a": [], "b": []}, "no style marked in 2 segments"),
        ({"a": [(0, 5)], "b": [(0, 3)]}, "nothing but style marked in 2 segments"),
    ],
)
def test_annotations_that_nothing_can_be_learnt_from_are_refused(style: Any, said: str) -> None:
    cut = [Segment("a", "s#0", "s", 0, "x = 3"), Segment("b", "s#0", "s", 9, "hmm")]
    with pytest.raises(UserError, match=said):
        require_both_kinds(cut, Annotated(style, {"no_json": 2}), "student")
    require_both_kinds(cut, Annotated({"a": [], "b": [(0, 3)]}, {"accepted": 2}), "student")
