"""Responses to problems, written by a job's models: where stages meet `tessy.synthesis`.

Everything is journaled in the job's work folder, so a killed stage goes on where it was, and several
processes can work on one stage (`join`).

Not covered: what is done with the responses.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import torch

from tessy.boundary import Predictor
from tessy.boundary.sliding import SlidingPredictor
from tessy.chat import Renderer, load_tokenizer
from tessy.engines import Engine, EngineFault, Request, SamplingParams
from tessy.engines.embedded import EmbeddedEngine
from tessy.engines.inprocess import InProcessEngine
from tessy.engines.launch import Checkpoint, connected
from tessy.engines.server import ServerEngine
from tessy.engines.settings import EngineSettings
from tessy.engines.turns import Turns
from tessy.pipeline.job import Job, with_parent
from tessy.records import ROLES, Role, Trajectory, from_row
from tessy.stages.measuring import Watch, probe
from tessy.stages.switching import TRAINED, engine_of, token_rule, trained, watching
from tessy.synthesis.drafts import PAPER, Assignment, Author, Compat, Sample
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.methods import Method
from tessy.synthesis.scheduler import Schedule, write_all

ROOM_FOR_MARKUP = 64
"""Ids of chat markup around the thinking and the answer: far more than any format needs."""


def write_responses(job: Job, samples: Sequence[Sample], **settings: Any) -> list[Trajectory]:
    """`responses`, all of them."""
    return list(responses(job, samples, **settings))


def responses(job: Job, samples: Sequence[Sample], *, name: str, **settings: Any) -> Iterator[Trajectory]:
    """`drain` the journal called `name`; then the trajectories in the order of `samples`."""
    with _helpers(job):
        drain(job, samples, name=name, **settings)
    job.progress(len(samples), len(samples), "responses")
    with Journal(job.work / f"{name}.journal") as journal:
        for row in journal.rows(sample.sample_id for sample in samples):
            yield from_row(Trajectory, row)


def drain(
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
    formats: Mapping[str, str] = MappingProxyType({}),
    answer_schema: str | None = None,
    must_finish: bool = False,
) -> None:
    """Write all `samples` with the job's models and predictors, together with whoever else does.

    `model_inputs` names the job's model input for a role, where that is not the role's own name;
    `home` is the role in whose ids trajectories are kept; `switch` decides where authors hand over;
    `formats` names the chat format to use in place of another; answers are held to `answer_schema` where
    their author's engine can do that, which goes on record; `must_finish` as in `Assignment`.
    """
    names: dict[Role, str] = {role: (model_inputs or {}).get(role, role) for role in ROLES}
    renderers = {role: renderer_of(job, names[role], formats) for role in method.authors | {home}}
    live = min(job.execution["concurrency"], len(samples))

    async def work(journal: Journal) -> None:
        async with AsyncExitStack() as stack:
            roles = sorted(method.authors)
            rule = token_rule(switch) if method.thinking == "both" else None
            logprobs = rule.logprobs if rule else 0
            turns = Turns()
            schemas = answer_schema is not None
            wanted = [
                Wanted(job, r, names[r], renderers[r], sampler, max_tokens, samples, turns, logprobs, schemas)
                for r in roles
            ]
            engines = await asyncio.gather(*(stack.enter_async_context(running(w)) for w in wanted))
            reads = method.thinking == "both" and rule is None
            watched = [_watching(job, switch, role, live, compat, turns) for role in (roles if reads else ())]
            watchers = await asyncio.gather(*(stack.enter_async_context(one) for one in watched))
            authors = {
                role: Author(
                    _model_name(job, names[role]),
                    engine,
                    watcher,
                    job.execution["stride"] if streams(job, compat) else (chunk_tokens or {}).get(role, 1),
                    rule,
                )
                for role, engine, watcher in zip_longest(roles, engines, watchers)
            }
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
                answer_schema=await _schema(
                    job, name, answer_schema, authors[method.answer].engine, renderers[method.answer]
                ),
                must_finish=must_finish,
            )
            schedule = await _schedule(job, authors.values(), compat)
            limit = await _limit(job, assignment, samples[:live])
            watch = Watch(job, name, len(samples), journal, Meters(), authors, limit)
            looking = asyncio.create_task(watch.look_on())
            stack.callback(looking.cancel)
            await write_all(samples, assignment, journal, schedule, watch.meters)
            await watch.log()

    with Journal(job.work / f"{name}.journal") as journal:
        asyncio.run(work(journal))


@contextmanager
def _helpers(job: Job) -> Iterator[None]:
    """The other processes that the recipe wants to work on this stage."""
    command = [sys.executable, "-m", "tessy.pipeline.job", "--join", str(job.out)]
    wanted = job.execution["workers"] - 1 if job.joinable else 0
    processes = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, env=with_parent()) for _ in range(wanted)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def _limit(job: Job, assignment: Assignment, samples: Sequence[Sample]) -> float | None:
    """What the engines write plainly, where the recipe wants to know."""
    tokens = job.execution["probe_tokens"]
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


async def _schema(job: Job, name: str, wanted: str | None, engine: Engine, renderer: Renderer) -> str | None:
    """The JSON schema `wanted`, if any, where an engine keeps to it; for the record and the log."""
    if wanted is None:
        return None
    constrained = await keeps_to_schemas(engine, renderer)
    job.used.setdefault("json_schema", {})[name] = constrained
    job.say(f"{name}: JSON schema {constrained}")
    return wanted if constrained else None


async def keeps_to_schemas(engine: Engine, renderer: Renderer) -> bool:
    """Whether an engine, and each of its servers, holds answers to a JSON schema: asked under one that allows
    a single number only."""
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


async def _schedule(job: Job, authors: Iterable[Author], compat: Compat) -> Schedule:
    execution = job.execution
    reach = execution["reach"] if streams(job, compat) else None
    held = [(await author.engine.stats()).kv_tokens for author in authors]
    known = [tokens for tokens in (*held, execution["kv_tokens"]) if tokens]
    drawing = all(isinstance(author.engine, ServerEngine) for author in authors)
    return Schedule(execution["concurrency"], reach, min(known, default=None), adaptive=drawing)


@asynccontextmanager
async def _watching(
    job: Job, switch: Mapping[str, Any], role: Role, slots: int, compat: Compat, turns: Turns
) -> AsyncIterator[Predictor]:
    one = trained(job, switch, role, sliding=True) if compat.window == "sliding" else None
    if one is not None:
        device = engine_of(job, role).device
        yield SlidingPredictor(one.source, role, one.window_tokens, revision=one.revision, device=device)
        return
    async with watching(job, switch, role, slots, turns) as predictor:
        yield predictor


def streams(job: Job, compat: Compat) -> bool:
    """Whether continuations are streamed. Where the result depends on chunks, chunks are asked for."""
    return job.execution["scheduler"] == "stream" and compat.chunks_do_not_matter


def renderer_of(job: Job, name: str, formats: Mapping[str, str] = MappingProxyType({})) -> Renderer:
    """The renderer of the job's model `name`, in the recipe's format or what `formats` has in its place."""
    reference = job.reference(name)
    form = formats.get(reference["format"], reference["format"])
    return Renderer(load_tokenizer(*job.model(name)), form, reference.get("gpt_oss"))


def _system(job: Job, name: str) -> str:
    """The system prompt with which a model is used, that it was trained with."""
    return str(job.reference(name).get("system", ""))


@dataclass(frozen=True, slots=True)
class Wanted:
    """An engine to start: for `role`, the job's model `name`. `logprobs` is the most it will be asked for,
    `schemas` whether requests will come with one."""

    job: Job
    role: Role
    name: str
    renderer: Renderer
    sampler: Mapping[str, Any]
    max_tokens: int
    samples: Sequence[Sample]
    turns: Turns
    logprobs: int = 0
    schemas: bool = False

    @property
    def max_length(self) -> int:
        system = _system(self.job, self.name)
        prompts = (self.renderer.prompt_ids(sample.problem.prompt, system) for sample in self.samples)
        return max(map(len, prompts), default=0) + self.max_tokens + ROOM_FOR_MARKUP


@asynccontextmanager
async def running(wanted: Wanted) -> AsyncIterator[Engine]:
    """The engine the recipe names for a role, closed in the end."""
    job, sampling = wanted.job, SamplingParams(**wanted.sampler)
    settings = EngineSettings.model_validate(job.execution["engines"][wanted.role])
    source, revision = job.model(wanted.name)
    if settings.kind == "server":
        async with connected(
            settings,
            Checkpoint(source, revision, wanted.max_length),
            sampling,
            codec=wanted.renderer,
            vocabulary=len(wanted.renderer.tokenizer),
            name=wanted.role,
            logs=job.out,
            report=job.say,
            logprobs=wanted.logprobs,
        ) as server:
            yield server
        return
    engine = _in_this_process(wanted, settings, sampling)
    try:
        yield engine
    finally:
        await engine.close()


def _in_this_process(wanted: Wanted, settings: EngineSettings, sampling: SamplingParams) -> Engine:
    job = wanted.job
    source, revision = job.model(wanted.name)
    if settings.kind == "vllm":
        return InProcessEngine(
            source,
            sampling,
            max_length=wanted.max_length,
            revision=revision,
            seed=job.config["seed"],
            arguments=settings.arguments,
            turns=wanted.turns,
            schemas=wanted.schemas,
        )
    return EmbeddedEngine(
        source,
        sampling,
        slots=min(job.execution["concurrency"], max(1, len(wanted.samples))),
        max_length=wanted.max_length,
        revision=revision,
        dtype=torch.float32 if settings.dtype == "float32" else torch.float64,
        turns=wanted.turns,
    )


def _model_name(job: Job, name: str) -> str:
    folder = job.inputs.get(name)
    return folder.name if folder else "@".join(part for part in job.model(name) if part)
