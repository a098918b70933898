"""The models of a job: their locations, chat formats and engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch

from tessy.chat import Renderer, load_renderer
from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.config.models import ModelReference
from tessy.engines import Engine
from tessy.engines.command import ServedModel
from tessy.engines.connect import connected
from tessy.engines.inprocess import InProcessEngine
from tessy.engines.shared import Asked, Wanted, serving
from tessy.engines.transformers_engine import TransformersEngine
from tessy.engines.turns import Turns
from tessy.records import Role
from tessy.runtime.job import Job, Source
from tessy.runtime.stage import StageConfig
from tessy.synthesis.rollouts import Sample

ROOM_FOR_MARKUP = 64
"""Ids of chat markup around the thinking and the answer: far more than any format needs."""


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model by the stage's name for it: the input of that name if there is one, otherwise the recipe's."""

    reference: ModelReference
    input: str

    def source(self, job: Job[StageConfig]) -> Source:
        return job.model(self.reference, self.input)

    def title(self, job: Job[StageConfig]) -> str:
        """The model's name in trajectories."""
        folder = job.inputs.get(self.input)
        return folder.name if folder else "@".join(part for part in self.source(job) if part)


def named(models: Mapping[Role, ModelReference]) -> dict[Role, NamedModel]:
    """Models whose inputs are named by role."""
    return {role: NamedModel(reference, role) for role, reference in models.items()}


def renderer_of(
    job: Job[StageConfig], model: NamedModel, formats: Mapping[str, str] = MappingProxyType({})
) -> Renderer:
    """The renderer of a model, in the recipe's chat format or the one that `formats` substitutes. The
    manifest gets what `auto` found."""
    renderer = load_renderer(*model.source(job), model.reference, formats)
    if model.reference.format == "auto":
        job.used.formats[model.input] = renderer.format.plain
    return renderer


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """An engine to start for `role`. `logprobs` is the largest number that requests will ask for, `schemas`
    whether requests will have one, `max_tokens` the length of the longest response to any of `samples`."""

    job: Job[StageConfig]
    role: Role
    model: NamedModel
    renderer: Renderer
    sampler: Sampler
    max_tokens: int
    seed: int
    samples: Sequence[Sample]
    turns: Turns
    logprobs: int = 0
    schemas: bool = False

    @property
    def max_length(self) -> int:
        system = self.model.reference.system
        prompts = (self.renderer.prompt_ids(sample.problem.prompt, system) for sample in self.samples)
        return max(map(len, prompts), default=0) + self.max_tokens + ROOM_FOR_MARKUP

    @property
    def settings(self) -> EngineSettings:
        return self.job.execution.engines.of(self.role)


@asynccontextmanager
async def running(
    requests: Sequence[EngineRequest],
    beside: Sequence[Wanted] = (),
    taken: Mapping[str, int] = MappingProxyType({}),
) -> AsyncIterator[tuple[list[Engine], Mapping[str, Sequence[str]]]]:
    """Context manager: the recipe's engines for the roles of one job, and base URLs of further servers by
    name.

    `beside` are servers wanted for something else, `taken` bytes that this process takes of devices by
    itself. Servers are the run's (`tessy.engines.shared`) and go on when this ends.
    """
    job, lengths = requests[0].job, [request.max_length for request in requests]
    wanted = [
        Wanted(request.role, request.settings, _served(request, length))
        for request, length in zip(requests, lengths, strict=True)
        if request.settings.starts_servers
    ]
    async with AsyncExitStack() as stack:
        asked = Asked([*wanted, *beside], taken)
        urls = await stack.enter_async_context(serving(job.out.parent, asked, job.out, job.say))
        opened = (
            stack.enter_async_context(_engine(request, length, urls.get(request.role, ())))
            for request, length in zip(requests, lengths, strict=True)
        )
        yield await asyncio.gather(*opened), urls


def _served(request: EngineRequest, length: int) -> ServedModel:
    source, revision = request.model.source(request.job)
    return ServedModel(source, revision, max(length, request.settings.context or 0))


@asynccontextmanager
async def _engine(request: EngineRequest, length: int, urls: Sequence[str]) -> AsyncIterator[Engine]:
    settings = request.settings
    if settings.kind == "server":
        async with connected(
            settings,
            urls or settings.endpoints,
            length,
            request.sampler,
            codec=request.renderer,
            vocabulary=len(request.renderer.tokenizer),
            name=request.role,
            report=request.job.say,
            logprobs=request.logprobs,
        ) as server:
            yield server
        return
    engine = _in_this_process(request, settings, length)
    try:
        yield engine
    finally:
        await engine.close()


def _in_this_process(request: EngineRequest, settings: EngineSettings, length: int) -> Engine:
    source, revision = request.model.source(request.job)
    if settings.kind == "vllm":
        return InProcessEngine(
            source,
            request.sampler,
            max_length=length,
            revision=revision,
            seed=request.seed,
            arguments=settings.arguments,
            turns=request.turns,
            schemas=request.schemas,
        )
    return TransformersEngine(
        source,
        request.sampler,
        slots=min(request.job.execution.concurrency, max(1, len(request.samples))),
        max_length=length,
        revision=revision,
        dtype=torch.float32 if settings.dtype == "float32" else torch.float64,
        turns=request.turns,
    )
