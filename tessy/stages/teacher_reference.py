"""The stage `teacher_reference` (Teacher-Reference): the student responds after seeing the teacher's answer.

The references are the answers of Teacher-Only's responses to the same samples. The student is trained on
the bare problem: the reference is not part of the training prompt. Samples whose reference did not finish are
left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tessy.artifacts import read_parquet
from tessy.cluster import Resources
from tessy.config.base import Generation, Seed, part
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.methods import METHODS
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.config.synthesis import TeacherReference
from tessy.errors import UserError
from tessy.layout import PROBLEMS, TRAJECTORIES
from tessy.records import Problem, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig, missing_files
from tessy.stages.checks import engine_faults, local, models_faults
from tessy.stages.serving import needed, of_models
from tessy.stages.synthesize import write_set
from tessy.synthesis.prompts import Template
from tessy.synthesis.rollouts import Sample, samples_of

if TYPE_CHECKING:
    from tessy.generation.writing import Task


class TeacherReferenceStage(StageConfig):
    """The models, how they write, and the prompt that shows the reference."""

    method: Literal["teacher_reference"] = "teacher_reference"
    student: ModelReference
    engine: Numerics
    synthesis: Generation
    teacher_reference: TeacherReference
    seed: Seed

    @property
    def files(self) -> list[str]:
        return [*local(self.student.files), str(self.teacher_reference.file)]

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from missing_files("synthesis.teacher_reference.prompt", self.teacher_reference.file)
        yield from models_faults({"student": self.student})
        yield from engine_faults(execution, ["student"])

    def resources(self, execution: Execution) -> Resources:
        return needed(execution, [execution.engines.student])

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterable[str]:
        return of_models(execution, inputs, {"student": self.student})


KIND = Kind(
    "teacher_reference",
    TeacherReferenceStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    join=f"{__name__}:join",
    preload=("tessy.generation.writing",),
    on_device=True,
    needs=("models",),
)


def plan(recipe: Recipe, graph: Graph, student: str | None, problems: str, references: str) -> str:
    """The stage that uses the `references` written by a Teacher-Only stage."""
    config = TeacherReferenceStage(
        student=reference(recipe.models.student),
        engine=recipe.execution.engines.student.numerics,
        synthesis=part(Generation, recipe.synthesis),
        teacher_reference=recipe.synthesis.teacher_reference,
        seed=recipe.seed,
    )
    inputs = {"problems": problems, "references": references, "student": student}
    return graph.add(KIND, "synthesize-teacher_reference", config, inputs)


def run(job: Job[TeacherReferenceStage]) -> None:
    from tessy.generation.models import renderer_of
    from tessy.generation.writing import responses
    from tessy.synthesis.prompts import answering

    samples, task = _samples(job), _task(job)
    renderer = renderer_of(job, task.models["student"])
    asked, prompts = _asked(job, samples), {s.sample_id: s.problem.prompt for s in samples}
    written = (answering(t, prompts[t.sample_id], renderer) for t in responses(job, asked, task))
    write_set(job, job.config.method, written, lambda: {"without_reference": len(samples) - len(asked)})


def join(job: Job[TeacherReferenceStage]) -> None:
    """Help to write the trajectories; the process that runs the stage collects them."""
    from tessy.generation.writing import drain

    drain(job, _asked(job, _samples(job)), _task(job))


def _samples(job: Job[TeacherReferenceStage]) -> list[Sample]:
    return samples_of(read_parquet(job.inputs["problems"] / PROBLEMS, Problem))


def _task(job: Job[TeacherReferenceStage]) -> Task:
    from tessy.generation.models import named
    from tessy.generation.writing import Task

    config = job.config
    models = named({"student": config.student})
    return Task(config.method, METHODS["student_only"], models, config.synthesis, config.seed)


def _asked(job: Job[TeacherReferenceStage], samples: list[Sample]) -> list[Sample]:
    """The samples that have a reference, with the prompt that shows it."""
    references = answers(read_parquet(job.inputs["references"] / TRAJECTORIES, Trajectory))
    if not references:
        raise UserError("Teacher-Reference: the teacher finished no answer, so there is nothing to show")
    path = job.config.teacher_reference.file
    template = Template(path, "synthesis.teacher_reference.prompt", {"problem", "reference"})
    return [shown(sample, references, template) for sample in samples if sample.sample_id in references]


def answers(trajectories: Iterable[Trajectory]) -> dict[str, str]:
    """The answers of finished trajectories by sample id."""
    return {
        t.sample_id: "".join(span.text for span in t.spans if span.kind == "answer")
        for t in trajectories
        if t.stop_reason == "finished"
    }


def shown(sample: Sample, references: Mapping[str, str], template: Template) -> Sample:
    """The sample with problem and reference in place of the problem."""
    prompt = template.fill(problem=sample.problem.prompt, reference=references[sample.sample_id].strip())
    return replace(sample, problem=replace(sample.problem, prompt=prompt))
