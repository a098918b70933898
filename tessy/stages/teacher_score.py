"""The stage `teacher_score` (Teacher-Score): keeps the student's response that the teacher scores highest.

The teacher scores in one of two ways. `grade`: it is asked for a number, and its answer is parsed tolerantly.
`likelihood`: the mean log-probability it gives to the response, in its own chat format; this needs no
instruction following, so any model can do it. Unreadable answers are counted. Both are journaled: a killed
stage resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tessy.artifacts import read_parquet, write_json
from tessy.boundary.annotators import AnswerJournal
from tessy.config.base import Generation, Seed
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.methods import METHODS
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.config.synthesis import GradeScorer, LikelihoodScorer
from tessy.layout import TRAJECTORIES
from tessy.records import Problem, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig, missing_files
from tessy.stages.checks import engine_faults, local, models_faults
from tessy.stages.serving import of_models
from tessy.stages.synthesize import write_set
from tessy.synthesis.prompts import Template
from tessy.synthesis.rollouts import Sample
from tessy.synthesis.scoring import best_of, read_grade

if TYPE_CHECKING:
    from tessy.chat import Renderer

SCORES = "scores.json"
"""The score of every candidate by sample id; null where none could be read."""


class TeacherScoreStage(StageConfig):
    """The number of candidates per sample, and how the teacher scores them."""

    method: Literal["teacher_score"] = "teacher_score"
    candidates: int
    scorer: Annotated[GradeScorer | LikelihoodScorer, Field(discriminator="kind")]
    teacher: ModelReference
    engine: Numerics
    seed: Seed

    @property
    def files(self) -> list[str]:
        prompts = [str(self.scorer.file)] if self.scorer.kind == "grade" else []
        return [*local(self.teacher.files), *prompts]

    def faults(self, execution: Execution) -> Iterator[str]:
        if self.scorer.kind == "grade":
            yield from missing_files("synthesis.teacher_score.scorer.prompt", self.scorer.file)
        yield from models_faults({"teacher": self.teacher})
        yield from engine_faults(execution, ["teacher"])

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterator[str]:
        if self.scorer.kind == "grade":
            yield from of_models(execution, inputs, {"teacher": self.teacher})


KIND = Kind(
    "teacher_score",
    TeacherScoreStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    preload=("tessy.generation.writing",),
    on_device=True,
    needs=("models",),
)


def plan(recipe: Recipe, graph: Graph, teacher: str | None, candidates: str) -> str:
    """The stage that chooses among `candidates` written by another stage."""
    settings = recipe.synthesis.teacher_score
    assert settings is not None
    config = TeacherScoreStage(
        candidates=settings.candidates,
        scorer=settings.scorer,
        teacher=reference(recipe.models.of("teacher")),
        engine=recipe.execution.engines.teacher.numerics,
        seed=recipe.seed,
    )
    inputs = {"candidates": candidates, "teacher": teacher}
    return graph.add(KIND, "synthesize-teacher_score", config, inputs)


def run(job: Job[TeacherScoreStage]) -> None:
    config = job.config
    scores = grades(job, config.scorer) if config.scorer.kind == "grade" else likelihoods(job)
    write_json(job.out / SCORES, scores)
    unread = sum(score is None for score in scores.values())
    kept = (
        replace(best_of(group, scores), method=config.method)
        for group in grouped(_candidates(job), config.candidates)
    )
    counts = {"candidates_scored": len(scores) - unread, "candidates_unreadable": unread}
    write_set(job, config.method, kept, lambda: counts)


def grouped(trajectories: Iterator[Trajectory], size: int) -> Iterator[list[Trajectory]]:
    """Candidates grouped by sample; they were written in this order."""
    while group := list(islice(trajectories, size)):
        yield group


def grades(job: Job[TeacherScoreStage], scorer: GradeScorer) -> dict[str, float | None]:
    """Every finished candidate's grade."""
    from tessy.generation.models import named
    from tessy.generation.writing import Task, responses

    template = Template(scorer.file, "synthesis.teacher_score.scorer.prompt", {"problem", "response"})
    questions = [question(t, template) for t in _finished(job)]
    task = Task(
        "grades",
        METHODS["teacher_only"],
        named({"teacher": job.config.teacher}),
        Generation(max_tokens=scorer.max_tokens, sampler=scorer.sampler),
        job.config.seed,
        home="teacher",
        must_finish=True,
    )
    out: dict[str, float | None] = {}
    for response in responses(job, questions, task):
        answer = "".join(span.text for span in response.spans if span.kind == "answer")
        out[response.problem_id] = read_grade(answer)
    return out


def question(candidate: Trajectory, template: Template) -> Sample:
    """The problem whose prompt asks for the grade of `candidate`."""
    asked = template.fill(problem=candidate.prompt, response=candidate.text)
    return Sample(f"grade/{candidate.sample_id}", Problem(candidate.sample_id, asked))


def likelihoods(job: Job[TeacherScoreStage]) -> dict[str, float | None]:
    """Every finished candidate's mean log-probability under the teacher."""
    from tessy.engines.likelihood import LikelihoodReader
    from tessy.generation.models import NamedModel, renderer_of

    teacher = NamedModel(job.config.teacher, "teacher")
    reader, renderer = LikelihoodReader(*teacher.source(job)), renderer_of(job, teacher)
    candidates, out = list(_finished(job)), dict[str, float | None]()
    with AnswerJournal(job.work / "likelihoods.jsonl") as read:
        for number, candidate in enumerate(candidates, start=1):
            name = candidate.sample_id
            if name not in read.answers:
                read.append(name, repr(reader.mean_log_probability(*as_written_by(renderer, candidate))))
            out[name] = float(read.answers[name][0])
            job.progress(number, len(candidates), "candidates read")
    return out


def as_written_by(renderer: Renderer, candidate: Trajectory) -> tuple[list[int], int]:
    """A finished candidate's ids in the format of the renderer's model, and the number of prompt ids."""
    thinking, answer = (_text(candidate, kind) for kind in ("thinking", "answer"))
    prompt = [*renderer.prompt_ids(candidate.prompt), *renderer.open_thinking_ids()]
    thought = [*renderer.encode(thinking), *renderer.close_thinking_ids(thinking)]
    return [*prompt, *thought, *renderer.encode(answer), *renderer.close_answer_ids()], len(prompt)


def _text(trajectory: Trajectory, kind: str) -> str:
    return "".join(span.text for span in trajectory.spans if span.kind == kind)


def _candidates(job: Job[TeacherScoreStage]) -> Iterator[Trajectory]:
    return read_parquet(job.inputs["candidates"] / TRAJECTORIES, Trajectory)


def _finished(job: Job[TeacherScoreStage]) -> Iterator[Trajectory]:
    return (t for t in _candidates(job) if t.stop_reason == "finished")
