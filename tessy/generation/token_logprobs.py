"""Each role's model's log-probabilities at every token of gold thinkings, to score switches by uncertainty.

Engines report log-probabilities only for tokens they write, so each token of a gold text takes a request for
one token at its position; the sampled token is discarded. Prefixes grow by one token (cached).

Not covered: retries; an engine's fault ends the stage, which can be run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from tessy.chat import Renderer
from tessy.config.switches import LIKELIEST
from tessy.engines import Engine, Request
from tessy.engines.turns import Turns
from tessy.generation.models import EngineRequest, renderer_of, running
from tessy.generation.writing import Task
from tessy.miniature.traces import Trace
from tessy.records import Problem, Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.rollouts import samples_of

TokenLogprobs = list[tuple[int, Sequence[float]]]
"""Of every token of a text in the model's own ids: its offset, and the falling log-probabilities (nats) of
the tokens that were likeliest there."""


async def gold_logprobs(
    job: Job[StageConfig], task: Task, traces: Mapping[Role, Sequence[Trace]]
) -> dict[Role, list[TokenLogprobs]]:
    """For each role, its model's log-probabilities for the thinking of each of its traces, with the task's
    limits and seed."""
    turns, limits = Turns(), task.limits
    renderers = {role: renderer_of(job, task.models[role]) for role in traces}
    requests = [
        EngineRequest(
            *(job, role, task.models[role], renderers[role], limits.sampler, limits.max_tokens, task.seed),
            samples_of(Problem(trace.problem_id, trace.prompt) for trace in own),
            turns,
            LIKELIEST,
        )
        for role, own in traces.items()
    ]

    async def by_model(engine: Engine, role: Role) -> list[TokenLogprobs]:
        gate = asyncio.Semaphore(job.execution.concurrency)

        async def read(trace: Trace) -> TokenLogprobs:
            async with gate:
                return await _by_token(engine, renderers[role], trace)

        return await asyncio.gather(*map(read, traces[role]))

    async with running(requests) as (engines, _):
        read = await asyncio.gather(*map(by_model, engines, traces))
    return dict(zip(traces, read, strict=True))


async def _by_token(engine: Engine, renderer: Renderer, trace: Trace) -> TokenLogprobs:
    before = [*renderer.prompt_ids(trace.prompt), *renderer.open_thinking_ids()]
    own, at, out = renderer.encode(trace.thinking), 0, TokenLogprobs()
    for count, text in enumerate(renderer.pieces(own)):
        request = Request(trace.problem_id, [*before, *own[:count]], 1, (), "gold", logprobs=LIKELIEST)
        written = await engine.open(request).finished()
        out.append((at, written.logprobs[0]))
        at += len(text)
    engine.release(trace.problem_id)
    return out
