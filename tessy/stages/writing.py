"""Responses to problems, written by a job's models: where stages meet `tessy.synthesis`.

Everything is journaled in the job's work folder, so a killed stage goes on where it was, and several
processes can work on one stage (`join`).

Not covered: what is done with the responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from tessy.chat import Renderer, load_tokenizer
from tessy.engines import Engine, SamplingParams
from tessy.engines.embedded import EmbeddedEngine
from tessy.pipeline.job import Job
from tessy.records import ROLES, Role, Trajectory, from_row
from tessy.stages.switching import TRAINED, open_switch
from tessy.synthesis.drafts import PAPER, Assignment, Author, Compat, Sample
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.methods import Method
from tessy.synthesis.scheduler import Schedule, write_all

ROOM_FOR_MARKUP = 64
"""Ids of chat markup around the thinking and the answer: far more than any format needs."""

LOG_EVERY_S = 10.0


def write_responses(job: Job, samples: Sequence[Sample], **settings: Any) -> list[Trajectory]:
    """`responses`, all of them."""
    return list(responses(job, samples, **settings))


def responses(
    job: Job,
    samples: Sequence[Sample],
    *,
    name: str,
    method: Method,
    sampler: Mapping[str, Any],
    max_tokens: int,
    chunk_tokens: Mapping[Role, int] | None = None,
    compat: Compat = PAPER,
    switch: Mapping[str, Any] = TRAINED,
    model_inputs: Mapping[Role, str] | None = None,
    home: Role = "student",
) -> Iterator[Trajectory]:
    """Write all `samples` with the job's models and predictors; trajectories in the order of `samples`.

    `model_inputs` names the job's model input for a role, where that is not the role's own name;
    `home` is the role in whose ids trajectories are kept; `switch` decides where authors hand over.
    """
    names: dict[Role, str] = {role: (model_inputs or {}).get(role, role) for role in ROLES}
    renderers = {role: _renderer(job, names[role]) for role in method.authors | {home}}
    schedule, meters = _schedule(job), Meters()
    live = min(job.execution["concurrency"], len(samples))

    async def work(journal: Journal) -> None:
        async with AsyncExitStack() as stack:
            authors = {}
            for role in sorted(method.authors):
                engine = _engine(job, names[role], renderers[role], samples, sampler, max_tokens)
                stack.push_async_callback(engine.close)
                predictor = open_switch(job, switch, role, live) if method.thinking == "both" else None
                authors[role] = Author(
                    _model_name(job, names[role]), engine, predictor, (chunk_tokens or {}).get(role, 1)
                )
            assignment = Assignment(
                name,
                method,
                authors,
                renderers,
                home,
                max_tokens,
                job.config["seed"],
                sampler,
                system=_system(job, names[home]),
                compat=compat,
            )
            report = asyncio.create_task(_report(job, journal, len(samples), meters, name))
            stack.callback(report.cancel)
            await write_all(samples, assignment, journal, schedule, meters)

    with Journal(job.work / f"{name}.journal") as journal:
        asyncio.run(work(journal))
        job.progress(len(samples), len(samples), "responses")
        job.tracker.log({f"{name}/{key}": value for key, value in meters.values().items()})
        for row in journal.rows(sample.sample_id for sample in samples):
            yield from_row(Trajectory, row)


async def _report(job: Job, journal: Journal, total: int, meters: Meters, name: str) -> None:
    """Progress twice a second, metrics every `LOG_EVERY_S`."""
    for tick in range(1, 1 << 62):
        await asyncio.sleep(0.5)
        job.progress(journal.finished(), total, "responses")
        if tick % int(2 * LOG_EVERY_S) == 0:
            job.tracker.log({f"{name}/{key}": value for key, value in meters.values().items()})


def _schedule(job: Job) -> Schedule:
    execution = job.execution
    reach = execution["reach"] if execution["scheduler"] == "stream" else None
    return Schedule(execution["concurrency"], reach, execution["kv_tokens"])


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
) -> Engine:
    system = _system(job, name)
    longest = max((len(renderer.prompt_ids(sample.problem.prompt, system)) for sample in samples), default=0)
    source, revision = job.model(name)
    return EmbeddedEngine(
        source,
        SamplingParams(**sampler),
        slots=min(job.execution["concurrency"], max(1, len(samples))),
        max_length=longest + max_tokens + ROOM_FOR_MARKUP,
        revision=revision,
    )


def _system(job: Job, name: str) -> str:
    """The system prompt with which a model is used, that it was trained with."""
    return str(job.reference(name).get("system", ""))


def _model_name(job: Job, name: str) -> str:
    folder = job.inputs.get(name)
    return folder.name if folder else "@".join(part for part in job.model(name) if part)
