"""Two models, their predictors and problems, ready to write: what every measurement of synthesis shares."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tessy.bench.bounds import InstantPredictor
from tessy.boundary.apart import ApartPredictor
from tessy.boundary.predictor import BoundaryPredictor
from tessy.boundary.sliding import SlidingPredictor
from tessy.chat import Renderer, load_tokenizer
from tessy.config.methods import METHODS
from tessy.engines import Engine, Request
from tessy.engines.server import ServerEngine
from tessy.engines.turns import Turns
from tessy.machine import machine
from tessy.records import ROLES, Problem, Role, Trajectory, from_row
from tessy.synthesis.journal import Journal
from tessy.synthesis.lockstep import write_in_lockstep
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author, Sample, samples_of
from tessy.synthesis.scheduler import Schedule, write_all

RELEASE_CHUNKS: dict[Role, int] = {"student": 5, "teacher": 10}
"""Tokens per step in the authors' release."""
RELEASE_SAMPLES = 100
"""Samples in flight by its default."""
PAPER_CHUNK = 20


@dataclass(frozen=True, slots=True)
class Models:
    """What is measured: checkpoints with their chat formats, predictors, and the run's settings.

    `sampler` has vLLM's names; `problems` are (id, prompt) pairs.
    """

    sources: dict[Role, str]
    formats: dict[Role, str]
    predictors: dict[Role, str]
    problems: list[tuple[str, str]]
    window_tokens: int
    max_tokens: int
    sampler: dict[str, Any]
    concurrency: int
    check_interval_tokens: int
    max_continuation_tokens: int

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Models:
        return cls(**{**plain, "problems": [tuple(pair) for pair in plain["problems"]]})

    def samples(self) -> list[Sample]:
        return samples_of(Problem(problem_id, prompt) for problem_id, prompt in self.problems)

    def renderers(self) -> dict[Role, Renderer]:
        return {role: Renderer(load_tokenizer(self.sources[role]), self.formats[role]) for role in ROLES}

    def max_length(self, renderers: Mapping[Role, Renderer]) -> int:
        """Tokens of the longest prompt and the longest response, in either model's ids."""
        prompts = (renderers[role].prompt_ids(prompt) for role in ROLES for _, prompt in self.problems)
        return max(map(len, prompts)) + self.max_tokens + 64


class Harness:
    """The models at work on `engines`, in `turns` where those compute on this thread."""

    def __init__(
        self,
        models: Models,
        engines: Mapping[Role, Engine],
        renderers: Mapping[Role, Renderer],
        turns: Turns | None = None,
        predictors: Mapping[Role, ApartPredictor] | Mapping[Role, InstantPredictor] | None = None,
        device: str = "cpu",
    ) -> None:
        self.models, self.engines, self.renderers = models, engines, renderers
        self._turns, self._given, self._device = turns or Turns(), predictors, device

    @functools.cached_property
    def predictors(self) -> Mapping[Role, BoundaryPredictor | ApartPredictor | InstantPredictor]:
        """Those that read along; lock step has its own, on `device`."""
        models = self.models
        return self._given or {
            role: BoundaryPredictor(
                models.predictors[role],
                role,
                models.window_tokens,
                slots=models.concurrency,
                dtype=torch.float32,
                turns=self._turns,
            )
            for role in ROLES
        }

    async def stream(self, folder: Path, *, literal: bool = False) -> Meters:
        """Write all samples with the scheduler, journaled in `folder`; `literal` asks k tokens at a time."""
        models = self.models
        # The cores are the engines'; lock step, as released, has its predictors take them all.
        torch.set_num_threads(1)
        chunk = PAPER_CHUNK if literal else models.check_interval_tokens
        assignment = self._assignment(self.predictors, dict.fromkeys(ROLES, chunk))
        adaptive = all(isinstance(engine, ServerEngine) for engine in self.engines.values())
        schedule = Schedule(
            models.concurrency, None if literal else models.max_continuation_tokens, adaptive=adaptive
        )
        before, meters = self.predictors_busy_s(), Meters()
        with Journal(folder) as journal:
            await write_all(models.samples(), assignment, journal, schedule, meters)
        meters.stop()
        meters.predictor_busy_s = self.predictors_busy_s() - before
        return meters

    async def lockstep(self) -> tuple[Meters, list[Trajectory]]:
        """Write all samples with the release's settings."""
        models = self.models
        torch.set_num_threads(os.cpu_count() or 1)
        predictors = {
            role: SlidingPredictor(
                *(models.predictors[role], role, models.window_tokens),
                dtype=release_dtype(self._device),
                device=self._device,
            )
            for role in ROLES
        }
        meters, samples = Meters(), min(models.concurrency, RELEASE_SAMPLES)
        written = await write_in_lockstep(
            models.samples(), self._assignment(predictors, RELEASE_CHUNKS), meters, samples
        )
        meters.stop()
        return meters, written

    async def plain(
        self, teacher_share: float, tokens: int, span: int | None = None, roles: Sequence[Role] = ROLES
    ) -> tuple[int, float]:
        """Tokens and seconds of `tokens` tokens for every problem, from those of `roles`, in the share that
        cooperative traces have: what there is to reach. Each is one request, or, with `span`, requests of so
        many tokens, before each of which the prompt also grows by as many that the model has not written."""
        counts = {"student": len(self.models.problems)}
        counts["teacher"] = round(counts["student"] * teacher_share / max(0.01, 1 - teacher_share))
        gate = asyncio.Semaphore(self.models.concurrency)

        async def one(role: Role, number: int) -> int:
            renderer = self.renderers[role]
            prompt = self.models.problems[number % len(self.models.problems)][1]
            asked = renderer.prompt_ids(prompt)
            ids, written, name = [*asked, *renderer.open_thinking_ids()], 0, f"plain-{role}-{number}"
            async with gate:
                while written < tokens:
                    step = min(span or tokens, tokens - written)
                    request = Request(name, ids, step, (), f"{number}", step)
                    done = await self.engines[role].open(request).finished()
                    if not done.token_ids:
                        raise RuntimeError(f"{role}: its context is full after {written} of {tokens} tokens")
                    written += len(done.token_ids)
                    ids = [*ids, *done.token_ids, *itertools.islice(itertools.cycle(asked), step)]
            self.engines[role].release(name)
            return written

        # By turns, so that all are at work at any time: one model after the other would have the device to
        # itself, and twice the requests in a step.
        order = sorted(((n + 0.5) / counts[role], role, n) for role in roles for n in range(counts[role]))
        began = time.perf_counter()
        written = await asyncio.gather(*(one(role, n) for _, role, n in order))
        return sum(written), time.perf_counter() - began

    def predictors_busy_s(self) -> float:
        """Seconds in which predictors computed, so far."""
        return sum(predictor.busy_s for predictor in self.predictors.values())

    def _assignment(self, predictors: Mapping[Role, Any], chunks: Mapping[Role, int]) -> Assignment:
        authors = {
            role: Author(self.models.sources[role], self.engines[role], predictors[role], chunks[role])
            for role in ROLES
        }
        method, models = METHODS["tessy"], self.models
        return Assignment(
            "tessy", method, authors, self.renderers, "student", models.max_tokens, 0, models.sampler
        )


def release_dtype(device: str) -> torch.dtype:
    """Of the predictors in the authors' release: bfloat16. A processor that would have to emulate it is given
    float32, the better choice there, so that lock step is not made to look slow."""
    fast = device != "cpu" or machine().multiplies_bfloat16
    return torch.bfloat16 if fast else torch.float32


def trajectories(folder: Path, samples: Sequence[Sample]) -> list[Trajectory]:
    """What a journal holds of `samples`."""
    with Journal(folder) as journal:
        return [from_row(Trajectory, row) for row in journal.rows(sample.sample_id for sample in samples)]


def warm_up(models: Models) -> Models:
    """As many problems as are in flight at once: what engines compile and allocate the first time they see
    as many is not what is measured."""
    return replace(models, problems=models.problems[: models.concurrency])


def fresh(folder: Path) -> Path:
    """An empty journal folder."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
