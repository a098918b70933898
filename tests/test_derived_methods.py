"""Methods made of other methods' responses: what is mixed, shown, scored, and what is trained on."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import scripted
import training_stage as stage
from hypothesis import given
from hypothesis import strategies as st
from jobs import REFERENCE, job_at

from tessy.artifacts import read_json, read_parquet, write_parquet
from tessy.boundary.annotators import AnswerJournal
from tessy.chat import Renderer
from tessy.config.base import Generation, Sampler
from tessy.config.engines import Numerics
from tessy.config.load import load
from tessy.config.shipped import prompt_file
from tessy.config.synthesis import GradeScorer, LikelihoodScorer, TeacherReference
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.records import Problem, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Plan
from tessy.runtime.preflight import preflight
from tessy.stages import teacher_mix, teacher_reference, teacher_score
from tessy.synthesis.prompts import Template, answering
from tessy.synthesis.scoring import best_of, read_grade

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"
LIKELIHOOD = "synthesis.teacher_score.scorer.kind=likelihood"
GRADE = "synthesis.teacher_score.scorer={kind: grade, max_tokens: 9, sampler: {temperature: 0}%s}"


def planned(*overrides: str) -> Plan:
    return plan(load(MINI, overrides))


def responses(count: int, method: str = "student_only", **changes: Any) -> list[Trajectory]:
    return [replace(t, method=method, **changes) for t in stage.trajectories(count)]


# The plan ---------------------------------------------------------------------------------------------


def test_derived_methods_reuse_the_stages_of_those_they_are_made_of() -> None:
    methods = "synthesis.methods=[teacher_only, student_only, teacher_mix, teacher_reference]"
    mix, reference = (planned(methods).stage(f"synthesize-teacher_{name}") for name in ("mix", "reference"))
    assert mix.inputs == {"student": "synthesize-student_only", "teacher": "synthesize-teacher_only"}
    assert reference.inputs["references"] == "synthesize-teacher_only"
    alone = planned("synthesis.methods=[teacher_mix]")
    assert alone.stage("synthesize-teacher_mix").fingerprint == mix.fingerprint
    assert alone.stage("train-teacher_mix-seed0").inputs["trajectories"] == "synthesize-teacher_mix"


def test_other_prompts_and_scorers_concern_their_own_method_only() -> None:
    methods = "synthesis.methods=[teacher_only, teacher_reference, teacher_score]"
    before, after = planned(methods, LIKELIHOOD), planned(methods, GRADE % "")
    changed = {
        one.name for one, other in zip(before, after, strict=True) if one.fingerprint != other.fingerprint
    }
    assert {name for name in changed if name.startswith(("synthesize", "candidates"))} == {
        "synthesize-teacher_score"
    }
    assert before.stage("candidates-teacher_score").config.repeats == 5


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["synthesis.methods=[teacher_score]"], "section `teacher_score` is missing"),
        ([LIKELIHOOD, "synthesis.teacher_score.candidates=1"], "greater than or equal to 2"),
        ([LIKELIHOOD, "execution.engines.teacher.kind=vllm"], "use the scorer grade, or kind transformers"),
        (["synthesis.methods=[teacher_mixed]"], "did you mean 'teacher_mix'"),
        (["synthesis.teacher_reference.promt=x"], "did you mean 'prompt'"),
    ],
)
def test_impossible_derived_methods_are_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(MINI, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["synthesis.methods=[teacher_reference]", "synthesis.teacher_reference.prompt=gone"],
        ["synthesis.methods=[teacher_score]", GRADE % ", prompt: gone"],
    ],
)
def test_a_prompt_that_is_not_there_is_refused(overrides: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prompt: 'gone': no such file or shipped name"):
        preflight(planned(*overrides), tmp_path)


def test_the_teacher_may_answer_what_both_have_thought(tmp_path: Path) -> None:
    (trajectory,) = asyncio.run(scripted.synthesize(tmp_path, 1, 7, "tessy_teacher_answer"))
    *thought, _, answer = trajectory.spans
    assert {span.author for span in thought} == {"student", "teacher"}
    assert (answer.author, answer.kind, answer.text) == ("teacher", "answer", scripted.ANSWER)


# The rules --------------------------------------------------------------------------------------------


@given(st.sets(st.text(max_size=6), max_size=40), st.integers(0, 5))
def test_half_of_a_mix_is_the_teachers_whatever_the_order(ids: set[str], seed: int) -> None:
    authors = teacher_mix.mixed(list(ids), seed)
    assert set(authors) == ids
    assert [*authors.values()].count("teacher") == (len(ids) + 1) // 2
    assert teacher_mix.mixed(sorted(ids, reverse=True), seed) == authors


@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        ("Grade: 7", 7),
        ("It is right.\n**Grade:** 9/10", 9),
        ("Score: 3 at first, but the proof holds. Final grade: 8", 8),
        ("6", 6),
        ("7.5 out of 10", 7.5),
        ("Grade: 10", 10),
        ("Grade: 11", None),
        ("Between 3 and 5.", None),
        ("Fine.", None),
        ("", None),
    ],
)
def test_grades_are_read_tolerantly_but_never_guessed(answer: str, grade: float | None) -> None:
    assert read_grade(answer) == grade


def test_the_best_finished_candidate_is_kept_and_of_equals_the_first() -> None:
    group = responses(4)
    ids = [t.sample_id for t in group]
    group[3] = replace(group[3], stop_reason="length")
    scores = dict(zip(ids, (3.0, 8.0, 8.0, 10.0), strict=True))
    assert best_of(group, scores).sample_id == ids[1]
    assert best_of(group, {ids[0]: None, ids[2]: 0.0}).sample_id == ids[2]
    assert best_of(group, {}).sample_id == ids[0]
    assert best_of(group[3:], {}) == group[3]


def test_what_stands_in_a_problem_is_never_a_place() -> None:
    candidate = replace(responses(1)[0], prompt="print {response}")
    template = Template(prompt_file("grade_1"), "field", {"problem", "response"})
    asked = teacher_score.question(candidate, template)
    assert "print {response}" in asked.problem.prompt
    assert candidate.text in asked.problem.prompt
    assert asked.problem.problem_id == candidate.sample_id


def test_a_prompt_without_its_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("Grade {problem}!")
    with pytest.raises(UserError, match=r"field: .*p.txt lacks {response}"):
        Template(tmp_path / "p.txt", "field", {"problem", "response"})


def test_a_response_answers_the_bare_problem_whatever_was_asked() -> None:
    renderer = Renderer(stage.tokenizer(), "qwen3")
    shown = stage.trajectory(0, renderer, random.Random(0))
    bare = answering(shown, "so then", renderer)
    assert bare.student_token_ids[: bare.prompt_tokens] == renderer.prompt_ids("so then")
    assert bare.student_token_ids[bare.prompt_tokens :] == shown.student_token_ids[shown.prompt_tokens :]
    assert (bare.prompt, bare.messages[0]["content"], bare.text) == ("so then", "so then", shown.text)


# The stages, with models of random weights ------------------------------------------------------------


def as_thinking(trajectory: Trajectory) -> Trajectory:
    """As one author alone would have written it."""
    kinds: dict[str, Any] = {"style": "thinking", "capability": "thinking"}
    return replace(trajectory, spans=[replace(s, kind=kinds.get(s.kind, s.kind)) for s in trajectory.spans])


def kept(job: Job[Any]) -> list[Trajectory]:
    return list(read_parquet(job.out / "trajectories.parquet", Trajectory))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("derived")
    stage.make_inputs(out)
    written = [as_thinking(t) for t in stage.trajectories(21)]
    for author in ("student", "teacher"):
        set_of = [replace(t, models={author: "m"}, method=f"{author}_only") for t in written]
        write_parquet(out / f"{author}_only-x" / "trajectories.parquet", set_of, "t", "t")
    problems = [Problem(t.problem_id, t.prompt) for t in written]
    write_parquet(out / "problems-x" / "problems.parquet", problems, "t", "t")
    return out


@pytest.mark.slow
def test_a_mix_takes_every_sample_once(folder: Path) -> None:
    inputs = {"student": "student_only-x", "teacher": "teacher_only-x"}
    job = job_at(folder, "teacher_mix", teacher_mix.TeacherMixStage(seed=0), inputs)
    teacher_mix.run(job)
    found = kept(job)
    assert len({t.sample_id for t in found}) == len(found) == 21
    assert sum("teacher" in t.models for t in found) == 11
    summary = read_json(job.out / "synthesis.json")
    assert (summary["finished_by_teacher"], summary["finished_by_student"]) == (11, 10)


@pytest.mark.slow
def test_references_are_shown_but_not_trained_on(folder: Path) -> None:
    inputs = {"problems": "problems-x", "references": "teacher_only-x", "student": "model-student-x"}
    (folder / "p.txt").write_text("{problem}\n{reference}")
    config = teacher_reference.TeacherReferenceStage(
        student=REFERENCE,
        engine=Numerics(),
        synthesis=Generation(max_tokens=9, sampler=Sampler(temperature=1.0)),
        teacher_reference=TeacherReference(prompt=str(folder / "p.txt")),
        seed=0,
    )
    job = job_at(folder, "teacher_reference", config, inputs)
    teacher_reference.run(job)
    found = kept(job)
    renderer = Renderer(stage.tokenizer(), "qwen3")
    assert len(found) == 21
    for t in found:
        assert t.student_token_ids[: t.prompt_tokens] == renderer.prompt_ids(t.prompt)
        assert t.prompt == f"problem {t.problem_id[1:]}"
    assert read_json(job.out / "synthesis.json")["without_reference"] == 0


def scoring(folder: Path, scorer: GradeScorer | LikelihoodScorer) -> Job[teacher_score.TeacherScoreStage]:
    """The stage that chooses by `scorer` among three candidates of each sample."""
    config = teacher_score.TeacherScoreStage(
        candidates=3, scorer=scorer, teacher=REFERENCE, engine=Numerics(), seed=0
    )
    inputs = {"candidates": "student_only-x", "teacher": "model-student-x"}
    return job_at(folder, "teacher_score", config, inputs)


@pytest.mark.slow
def test_the_likeliest_candidate_is_kept(folder: Path) -> None:
    job = scoring(folder, LikelihoodScorer(kind="likelihood"))
    with AnswerJournal(job.work / "likelihoods.jsonl") as before:
        # Read before the stage was killed.
        before.append("p4#0", "-0.125")
    teacher_score.run(job)
    scores = read_json(job.out / "scores.json")
    assert scores["p4#0"] == -0.125
    chosen = [t.sample_id for t in kept(job)]
    groups = [[f"p{number}#0" for number in range(start, start + 3)] for start in range(0, 21, 3)]
    assert chosen == [max(group, key=scores.__getitem__) for group in groups]
    assert all(-10 < score < 0 for score in scores.values())


@pytest.mark.slow
def test_a_teacher_that_cannot_grade_is_counted(folder: Path) -> None:
    (folder / "g.txt").write_text("{problem} {response}")
    prompt, sampler = str(folder / "g.txt"), Sampler(temperature=1.0)
    job = scoring(folder, GradeScorer(kind="grade", prompt=prompt, sampler=sampler, max_tokens=9))
    teacher_score.run(job)
    summary = read_json(job.out / "synthesis.json")
    assert (summary["candidates_scored"], summary["candidates_unreadable"]) == (0, 21)
    assert summary["trajectories"] == 7


@pytest.mark.slow
def test_a_likelihood_is_what_the_model_itself_says(folder: Path) -> None:
    import torch

    from tessy.engines.likelihood import LikelihoodReader

    reader = LikelihoodReader(str(folder / "model-student-x" / "model"))
    ids = stage.trajectories(1)[0].student_token_ids
    with torch.no_grad():
        logits = reader.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    wanted = [logits[at - 1, ids[at]].item() for at in range(7, len(ids))]
    assert reader.mean_log_probability(ids, 7) == pytest.approx(sum(wanted) / len(wanted), abs=1e-5)
