"""The models of a job: their locations, chat formats and engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch

from tessy.chat import Renderer, load_renderer
from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.config.models import ModelReference
from tessy.engines import Engine
from tessy.engines.embedded import EmbeddedEngine
from tessy.engines.inprocess import InProcessEngine
from tessy.engines.launch import ServedModel, connected
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


@asynccontextmanager
async def running(request: EngineRequest) -> AsyncIterator[Engine]:
    """Context manager: the recipe's engine for a role."""
    job, settings = request.job, request.job.execution.engines.of(request.role)
    source, revision = request.model.source(job)
    if settings.kind == "server":
        async with connected(
            settings,
            ServedModel(source, revision, request.max_length),
            request.sampler,
            codec=request.renderer,
            vocabulary=len(request.renderer.tokenizer),
            name=request.role,
            logs=job.out,
            report=job.say,
            logprobs=request.logprobs,
        ) as server:
            yield server
        return
    engine = _in_this_process(request, settings)
    try:
        yield engine
    finally:
        await engine.close()


def _in_this_process(request: EngineRequest, settings: EngineSettings) -> Engine:
    source, revision = request.model.source(request.job)
    if settings.kind == "vllm":
        return InProcessEngine(
            source,
            request.sampler,
            max_length=request.max_length,
            revision=revision,
            seed=request.seed,
            arguments=settings.arguments,
            turns=request.turns,
            schemas=request.schemas,
        )
    return EmbeddedEngine(
        source,
        request.sampler,
        slots=min(request.job.execution.concurrency, max(1, len(request.samples))),
        max_length=request.max_length,
        revision=revision,
        dtype=torch.float32 if settings.dtype == "float32" else torch.float64,
        turns=request.turns,
    )
