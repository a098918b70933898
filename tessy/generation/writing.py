"""Responses to samples, written by a job's models.

Everything is journaled in the job's work folder, so a killed stage resumes where it stopped, and several
processes can work on one stage (`join`).

Not covered: what is done with the responses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from tessy.chat import Renderer
from tessy.config.base import Generation
from tessy.config.methods import Method
from tessy.config.synthesis import ChunkTokens, Compatibility
from tessy.engines import Engine, EngineFault, Request
from tessy.engines.server import ServerEngine
from tessy.engines.shared import summed
from tessy.engines.turns import Turns
from tessy.generation.measuring import LOG_EVERY_S, Watch, of_workers, probe
from tessy.generation.models import EngineRequest, NamedModel, renderer_of, running
from tessy.generation.switching import Switching, token_rule
from tessy.records import Role, Trajectory, from_row
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import PAPER, Assignment, Author, Sample
from tessy.synthesis.scheduler import Schedule, write_all

LOOK_EVERY_S = 1.0
"""How often the workers of a stage are looked at."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all responses of one journal share.

    `name` is the journal's name and the trajectories' method; `models` are those of the method's authors and
    of `home`, the role in whose ids trajectories are kept. `switching` decides where authors hand over; it is
    required where both write the thinking. `formats` maps a chat format to its substitute; answers are
    constrained to `answer_schema` where their author's engine supports it, and the manifest records whether;
    `must_finish` as in `Assignment`.
    """

    name: str
    method: Method
    models: Mapping[Role, NamedModel]
    limits: Generation
    seed: int
    home: Role = "student"
    chunk_tokens: ChunkTokens | None = None
    compat: Compatibility = PAPER
    switching: Switching | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    answer_schema: str | None = None
    must_finish: bool = False

    @property
    def cooperation(self) -> Switching | None:
        """The switch, where both authors write the thinking; otherwise None."""
        if not self.method.cooperative:
            return None
        assert self.switching is not None, f"{self.name}: two authors need a switch"
        return self.switching


def write_responses(job: Job[StageConfig], samples: Sequence[Sample], task: Task) -> list[Trajectory]:
    """All `responses` as a list."""
    return list(responses(job, samples, task))


def responses(job: Job[StageConfig], samples: Sequence[Sample], task: Task) -> Iterator[Trajectory]:
    """`drain` the task's journal, then yield the trajectories in the order of `samples`."""
    drain(job, samples, task)
    job.progress(len(samples), len(samples), "responses")
    with journal_of(job, task.name) as journal:
        for row in journal.rows(sample.sample_id for sample in samples):
            yield from_row(Trajectory, row)


def journal_of(job: Job[StageConfig], name: str) -> Journal:
    """The journal called `name` of the stage, opened by a new owner."""
    folder = job.work / f"{name}.journal"
    return Journal(folder, job.claims(folder))


def drain(job: Job[StageConfig], samples: Sequence[Sample], task: Task) -> None:
    """Write all `samples` with the job's models and predictors, together with any processes that joined;
    where those work alone, wait for them."""
    if not job.works:
        with journal_of(job, task.name) as journal:
            wait_for_workers(job, journal, [sample.sample_id for sample in samples], "responses")
        return

    async def work(journal: Journal) -> None:
        async with _authors(job, samples, task) as authors:
            assignment = await _assignment(job, task, authors)
            schedule = await _schedule(job, authors.values(), task.compat)
            limit = await _limit(job, assignment, samples[: job.execution.concurrency])
            watch = Watch(job, task.name, len(samples), journal, Meters(), authors, limit)
            await _beside(write_all(samples, assignment, journal, schedule, watch.meters), watch.look_on())
            await watch.log()

    with journal_of(job, task.name) as journal:
        asyncio.run(work(journal))


async def _beside(work: Coroutine[Any, Any, None], watch: Coroutine[Any, Any, None]) -> None:
    """Await `work`; what `watch` raises in the meantime ends it."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch)
    await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
    try:
        await (working if working.done() else watching)
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def wait_for_workers(job: Job[StageConfig], journal: Journal, ids: Sequence[str], unit: str) -> None:
    """See the job's workers through what `journal` is about."""
    assert job.workers is not None
    logged = time.monotonic()
    while not journal.is_complete(ids):
        job.workers.check()
        if time.monotonic() - logged >= LOG_EVERY_S:
            logged = time.monotonic()
            job.tracker.log(of_workers(journal))
        states = [state for state in journal.states() if "rate" in state]
        rate = f"{sum(s['rate'] for s in states):,.1f} {states[0]['unit']}, " if states else ""
        job.progress(journal.finished(), len(ids), unit, rate + job.workers.describe())
        time.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def _authors(
    job: Job[StageConfig], samples: Sequence[Sample], task: Task
) -> AsyncIterator[dict[Role, Author]]:
    """The method's running authors, each with its predictor or rule; all start concurrently."""
    roles, turns, switching = sorted(task.method.authors), Turns(), task.cooperation
    rule = token_rule(switching.switch) if switching else None
    renderers = _renderers(job, task)
    live = min(job.execution.concurrency, len(samples))
    requests = [
        EngineRequest(
            job,
            role,
            task.models[role],
            renderers[role],
            task.limits.sampler,
            task.limits.max_tokens,
            task.seed,
            samples,
            turns,
            logprobs=rule.logprobs if rule else 0,
            schemas=task.answer_schema is not None,
        )
        for role in roles
    ]
    reading = switching if rule is None else None
    async with AsyncExitStack() as stack:
        served = [one for role in roles if (one := reading.served(role))] if reading else []
        taken = [reading.taken(role, live) for role in roles] if reading else []
        engines, urls = await stack.enter_async_context(running(requests, served, summed(taken)))
        watching = [reading.watching(role, live, turns, urls) for role in roles] if reading else []
        watchers = await asyncio.gather(*(stack.enter_async_context(one) for one in watching))
        yield {
            role: Author(task.models[role].title(job), engine, watcher, _chunk(job, task, role), rule)
            for role, engine, watcher in zip_longest(roles, engines, watchers)
        }


def _chunk(job: Job[StageConfig], task: Task, role: Role) -> int:
    """The number of tokens that an author writes before its predictor is asked."""
    if streams(job, task.compat):
        return job.execution.check_interval_tokens
    return task.chunk_tokens.of(role) if task.chunk_tokens else 1


def _renderers(job: Job[StageConfig], task: Task) -> dict[Role, Renderer]:
    roles = task.method.authors | {task.home}
    return {role: renderer_of(job, task.models[role], task.formats) for role in roles}


async def _assignment(job: Job[StageConfig], task: Task, authors: Mapping[Role, Author]) -> Assignment:
    renderers, answers = _renderers(job, task), task.method.answer
    schema = await _schema(job, task, authors[answers].engine, renderers[answers])
    return Assignment(
        task.name,
        task.method,
        authors,
        renderers,
        task.home,
        task.limits.max_tokens,
        task.seed,
        task.limits.sampler.model_dump(),
        system=task.models[task.home].reference.system,
        compat=task.compat,
        answer_schema=schema,
        must_finish=task.must_finish,
    )


async def _limit(job: Job[StageConfig], assignment: Assignment, samples: Sequence[Sample]) -> float | None:
    """The engines' throughput without interruptions, if the recipe asks for the probe."""
    tokens = job.execution.probe_tokens
    if tokens is None or not samples:
        return None
    tokens = min(tokens, assignment.max_tokens)
    try:
        limit = await probe(assignment.authors, assignment.renderers, samples, tokens)
    except EngineFault as fault:
        job.say(f"{assignment.name}: plain requests were not measured: {fault}")
        return None
    job.say(f"{assignment.name}: {limit:,.0f} tokens/s in plain requests")
    return limit


async def _schema(job: Job[StageConfig], task: Task, engine: Engine, renderer: Renderer) -> str | None:
    """The task's JSON schema, if any, where the engine enforces it; also recorded and logged."""
    if task.answer_schema is None:
        return None
    constrained = await keeps_to_schemas(engine, renderer)
    job.used.json_schema[task.name] = constrained
    job.say(f"{task.name}: JSON schema {constrained}")
    return task.answer_schema if constrained else None


async def keeps_to_schemas(engine: Engine, renderer: Renderer) -> bool:
    """Whether an engine, and each of its servers, enforces JSON schemas: tested with one that allows only a
    single number."""
    prompt = [*renderer.prompt_ids("?"), *renderer.no_thinking_ids()]
    name, number = "schema", "271828"
    ends = renderer.answer_end_ids
    question = Request(name, prompt, len(number) + 1, ends, name, schema=f'{{"const":{number}}}')
    opened = engine.open_on_each(question) if isinstance(engine, ServerEngine) else [engine.open(question)]
    try:
        written = await asyncio.gather(*(continuation.finished() for continuation in opened))
    except EngineFault:
        return False
    engine.release(name)
    said = (renderer.pieces([token for token in one.token_ids if token not in ends]) for one in written)
    return all("".join(pieces).strip() == number for pieces in said)


async def _schedule(job: Job[StageConfig], authors: Collection[Author], compat: Compatibility) -> Schedule:
    execution = job.execution
    longest = execution.max_continuation_tokens if streams(job, compat) else None
    held = [(await author.engine.stats()).kv_tokens for author in authors]
    known = [tokens for tokens in (*held, execution.kv_tokens) if tokens]
    drawing = all(isinstance(author.engine, ServerEngine) for author in authors)
    return Schedule(execution.concurrency, longest, min(known, default=None), adaptive=drawing)


def streams(job: Job[StageConfig], compat: Compatibility) -> bool:
    """Whether continuations are streamed. Where the result depends on chunks, chunks are requested."""
    return job.execution.scheduler == "stream" and compat.chunks_do_not_matter
