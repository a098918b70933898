"""The stage `reference` (Teacher-Reference): the student thinks and answers, shown the teacher's answer.

The references are the answers of Teacher-Only's responses to the same samples. The student is trained on
the bare problem: what it was shown is no part of the training prompt. Samples whose reference did not
finish have none to show and are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tessy.artifacts import read_parquet
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import Problem, Trajectory
from tessy.stages.names import TRAJECTORIES
from tessy.stages.problems import FILE as PROBLEMS
from tessy.stages.synthesize import write_set
from tessy.stages.writing import drain, renderer_of, responses
from tessy.synthesis.drafts import Sample, samples_of
from tessy.synthesis.methods import METHODS
from tessy.synthesis.prompts import Template, answering
from tessy.synthesis.settings import prompt_file


def run(job: Job) -> None:
    samples, renderer = _samples(job), renderer_of(job, "student")
    asked, prompts = _asked(job, samples), {s.sample_id: s.problem.prompt for s in samples}
    written = (answering(t, prompts[t.sample_id], renderer) for t in responses(job, asked, **_settings(job)))
    write_set(job, written, lambda: {"without_reference": len(samples) - len(asked)})


def join(job: Job) -> None:
    """Help to write the trajectories; the process that runs the stage puts them together."""
    drain(job, _asked(job, _samples(job)), **_settings(job))


def _samples(job: Job) -> list[Sample]:
    return samples_of(read_parquet(job.inputs["problems"] / PROBLEMS, Problem))


def _asked(job: Job, samples: list[Sample]) -> list[Sample]:
    """The samples with a reference, which the student is shown."""
    references = answers(read_parquet(job.inputs["references"] / TRAJECTORIES, Trajectory))
    if not references:
        raise UserError("Teacher-Reference: the teacher finished no answer, so there is nothing to show")
    path = prompt_file(job.config["reference"]["prompt"])
    template = Template(path, "synthesis.teacher_reference.prompt", {"problem", "reference"})
    return [shown(sample, references, template) for sample in samples if sample.sample_id in references]


def answers(trajectories: Any) -> dict[str, str]:
    """The answers of finished trajectories by sample id."""
    return {
        t.sample_id: "".join(span.text for span in t.spans if span.kind == "answer")
        for t in trajectories
        if t.stop_reason == "finished"
    }


def shown(sample: Sample, references: Mapping[str, str], template: Template) -> Sample:
    """The sample with its problem and reference in place of the problem."""
    prompt = template.fill(problem=sample.problem.prompt, reference=references[sample.sample_id].strip())
    return replace(sample, problem=replace(sample.problem, prompt=prompt))


def _settings(job: Job) -> dict[str, Any]:
    return {
        "name": job.config["method"],
        "method": METHODS["student_only"],
        "sampler": job.config["synthesis"]["sampler"],
        "max_tokens": job.config["synthesis"]["max_tokens"],
    }
