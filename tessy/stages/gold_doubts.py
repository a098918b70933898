"""How sure each role's model is at every token of gold thinkings: what a switch by uncertainty is judged by.

Engines report on tokens they write, so every token of a gold text is a request for one token where it stands;
what is drawn there is thrown away. Prefixes grow by one token, which engines know how to keep.

Not covered: retries; an engine's fault ends the stage, which can be run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from tessy.boundary.uncertainty import LIKELIEST
from tessy.chat import Renderer
from tessy.engines import Engine, Request
from tessy.engines.turns import Turns
from tessy.miniature.traces import Trace
from tessy.pipeline.job import Job
from tessy.records import Problem, Role
from tessy.stages.writing import Wanted, renderer_of, running
from tessy.synthesis.drafts import samples_of

TokenLogprobs = list[tuple[int, Sequence[float]]]
"""Of every token of a text in the model's own ids: its offset, and the falling log-probabilities (nats) of
the tokens that were likeliest there."""


async def gold_logprobs(job: Job, traces: Mapping[Role, Sequence[Trace]]) -> dict[Role, list[TokenLogprobs]]:
    """For each role, what its model says of each of its traces' thinkings."""
    turns = Turns()
    read = await asyncio.gather(*(_by_model(job, role, own, turns) for role, own in traces.items()))
    return dict(zip(traces, read, strict=True))


async def _by_model(job: Job, role: Role, traces: Sequence[Trace], turns: Turns) -> list[TokenLogprobs]:
    synthesis, renderer = job.config["synthesis"], renderer_of(job, role)
    samples = samples_of(Problem(trace.problem_id, trace.prompt) for trace in traces)
    sampler, max_tokens = synthesis["sampler"], synthesis["max_tokens"]
    wanted = Wanted(job, role, role, renderer, sampler, max_tokens, samples, turns, LIKELIEST)
    gate = asyncio.Semaphore(job.execution["concurrency"])

    async def read(trace: Trace) -> TokenLogprobs:
        async with gate:
            return await _by_token(engine, renderer, trace)

    async with running(wanted) as engine:
        return await asyncio.gather(*map(read, traces))


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
