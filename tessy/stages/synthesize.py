"""The stage `synthesize`: one method's trajectories for every problem."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tessy.artifacts import read_parquet, write_json, write_parquet
from tessy.boundary.predictor import BoundaryPredictor
from tessy.chat import Renderer, load_tokenizer
from tessy.engines import SamplingParams
from tessy.engines.embedded import EmbeddedEngine
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import ROLES, Problem, Role, Trajectory
from tessy.stages.problems import FILE as PROBLEMS
from tessy.synthesis.journal import Journal
from tessy.synthesis.methods import METHODS, Method
from tessy.synthesis.scheduler import Assignment, Author, Sample, samples_of, write_all

FILE = "trajectories.parquet"
SUMMARY = "synthesis.json"
ROOM_FOR_MARKUP = 64
"""Ids of chat markup around the thinking and the answer: far more than any format needs."""


def run(job: Job) -> None:
    problems = list(read_parquet(job.inputs["problems"] / PROBLEMS, Problem))
    method, settings = METHODS[job.config["method"]], job.config["synthesis"]
    trajectories = write_responses(
        job,
        samples_of(problems),
        name=job.config["method"],
        method=method,
        sampler=settings["sampler"],
        max_tokens=settings["max_tokens"],
        chunk_tokens=settings.get("chunk_tokens", 0),
    )
    write_parquet(job.out / FILE, trajectories, job.name, f"Responses written by the method {method.title}.")
    summary = summarize(trajectories)
    write_json(job.out / SUMMARY, summary)
    job.tracker.log({key: value for key, value in summary.items() if not isinstance(value, dict)})


def write_responses(
    job: Job,
    samples: Sequence[Sample],
    *,
    name: str,
    method: Method,
    sampler: Mapping[str, Any],
    max_tokens: int,
    chunk_tokens: int = 0,
    model_inputs: Mapping[Role, str] | None = None,
    home: Role = "student",
) -> list[Trajectory]:
    """Write all `samples` with the job's models and predictors, journaled in its work folder.

    `model_inputs` names the job's model input for a role, where that is not the role's own name;
    `home` is the role in whose ids trajectories are kept.
    """
    names = {role: (model_inputs or {}).get(role, role) for role in ROLES}
    renderers = {role: _renderer(job, names[role]) for role in method.authors | {home}}
    engines = {
        role: _engine(job, names[role], renderers[role], samples, sampler, max_tokens)
        for role in method.authors
    }
    predictors: dict[Role, BoundaryPredictor] = {}
    if method.thinking == "both":
        window = job.config["predictors"]["window_tokens"]
        predictors = {
            role: BoundaryPredictor(str(job.inputs[f"predictor-{role}"] / "model"), role, window)
            for role in ROLES
        }
    authors = {
        role: Author(_model_name(job, names[role]), engines[role], predictors.get(role))
        for role in method.authors
    }
    assignment = Assignment(
        name, method, authors, renderers, home, chunk_tokens, max_tokens, job.config["seed"], dict(sampler)
    )
    done = 0

    def on_done(_: Trajectory) -> None:
        nonlocal done
        done += 1
        job.progress(done, len(samples), "responses")

    with Journal(job.work / f"{name}.journal.jsonl") as journal:
        return asyncio.run(write_all(samples, assignment, journal, job.execution["concurrency"], on_done))


def _renderer(job: Job, name: str) -> Renderer:
    reference = job.reference(name)
    return Renderer(load_tokenizer(*job.model(name)), reference["format"], reference.get("gpt_oss"))


def _engine(
    job: Job,
    name: str,
    renderer: Renderer,
    samples: Sequence[Sample],
    sampler: Mapping[str, Any],
    max_tokens: int,
) -> EmbeddedEngine:
    longest = max((len(renderer.prompt_ids(sample.problem.prompt)) for sample in samples), default=0)
    source, revision = job.model(name)
    return EmbeddedEngine(
        source,
        SamplingParams(**sampler),
        slots=min(job.execution["concurrency"], max(1, len(samples))),
        max_length=longest + max_tokens + ROOM_FOR_MARKUP,
        revision=revision,
    )


def _model_name(job: Job, name: str) -> str:
    folder = job.inputs.get(name)
    return folder.name if folder else "@".join(part for part in job.model(name) if part)


def summarize(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """Counts of a synthesis. Tokens of thinking are compared in their own authors' tokenizers."""
    if not trajectories:
        raise UserError("synthesis wrote nothing: there are no problems")
    finished = [t for t in trajectories if t.stop_reason == "finished"]
    tokens: Counter[str] = Counter()
    for trajectory in trajectories:
        for span in trajectory.spans:
            tokens[span.author] += span.tokens
    return {
        "trajectories": len(trajectories),
        "failed": len(trajectories) - len(finished),
        "stop_reasons": dict(Counter(t.stop_reason for t in trajectories)),
        "mean_tokens": sum(t.tokens for t in trajectories) / len(trajectories),
        "teacher_token_share": tokens["teacher"] / max(1, tokens.total()),
        "generated_tokens": sum(t.generated_tokens for t in trajectories),
        "rolled_back_tokens": sum(t.rolled_back_tokens for t in trajectories),
    }
