"""What a switch by uncertainty says of gold thinkings: each role's model reads them on its own engine.

Engines report on tokens they write, so every token of a gold text is judged by a request for one token where
it stands; what is drawn there is thrown away. Prefixes grow by one token, which engines know how to keep.

Not covered: retries; an engine's fault ends the stage, which can be run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.uncertainty import Uncertainty
from tessy.chat import Renderer
from tessy.engines import Engine, Request
from tessy.miniature.traces import Trace
from tessy.pipeline.job import Job
from tessy.records import Problem, Role
from tessy.stages.writing import Wanted, renderer_of, running
from tessy.synthesis.drafts import samples_of


async def gold_labels(
    job: Job, doubts: Uncertainty, role: Role, traces: Sequence[Trace]
) -> list[list[tuple[int, bool]]]:
    """(offset, whether it is style) of every token of each trace's thinking, in `role`'s model's tokens."""
    synthesis, renderer = job.config["synthesis"], renderer_of(job, role)
    wanted = Wanted(
        job,
        role,
        role,
        renderer,
        synthesis["sampler"],
        synthesis["max_tokens"],
        samples_of(Problem(trace.problem_id, trace.prompt) for trace in traces),
        doubts.logprobs,
    )
    gate = asyncio.Semaphore(job.execution["concurrency"])

    async def read(trace: Trace) -> list[tuple[int, bool]]:
        async with gate:
            found = await _doubts(engine, renderer, doubts, trace)
        return [(offset, foreign == bool(FOREIGN_LABEL[role])) for offset, foreign in found]

    async with running(wanted) as engine:
        return await asyncio.gather(*(read(trace) for trace in traces))


async def _doubts(
    engine: Engine, renderer: Renderer, doubts: Uncertainty, trace: Trace
) -> list[tuple[int, bool]]:
    """(offset, whether the model would have handed over) for every token of one thinking."""
    before = [*renderer.prompt_ids(trace.prompt), *renderer.open_thinking_ids()]
    own, out, at = renderer.encode(trace.thinking), [], 0
    for count, text in enumerate(renderer.pieces(own)):
        request = Request(trace.problem_id, [*before, *own[:count]], 1, (), "gold", logprobs=doubts.logprobs)
        written = await engine.open(request).finished()
        out.append((at, doubts.foreign(written.logprobs[0])))
        at += len(text)
    engine.release(trace.problem_id)
    return out
