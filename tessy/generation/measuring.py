"""Measurements while responses are written: progress, rates, queues, the share of maximum throughput.

The maximum is measured: `probe` first asks the engines for uninterrupted continuations
(`execution.probe_tokens`). Not covered: what is counted (`tessy.synthesis.meters`); other processes that
work on the same journal, each of which measures itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessy.chat import Renderer
from tessy.engines import Request
from tessy.machine import gpu_use
from tessy.records import Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Author, Sample

PROGRESS_EVERY_S = 0.5
LOG_EVERY_S = 10.0
WARM_UP_TOKENS = 8
"""Written first and not counted: engines compile and allocate on their first requests."""


async def probe(
    authors: Mapping[Role, Author],
    renderers: Mapping[Role, Renderer],
    samples: Sequence[Sample],
    tokens: int,
) -> float:
    """The engines' throughput without interruptions, in tokens per second: for each of `samples`, every
    author continues the prompt by `tokens` tokens, all at the same time."""

    async def one(role: Role, sample: Sample, count: int) -> int:
        engine, form = authors[role].engine, renderers[role]
        ids = [*form.prompt_ids(sample.problem.prompt), *form.open_thinking_ids()]
        name = f"probe/{role}/{sample.sample_id}"
        written = await engine.open(Request(name, ids, count, (), name, count)).finished()
        engine.release(name)
        return len(written.token_ids)

    await asyncio.gather(*(one(role, samples[0], WARM_UP_TOKENS) for role in authors))
    began = time.perf_counter()
    counts = await asyncio.gather(*(one(role, sample, tokens) for sample in samples for role in authors))
    return sum(counts) / (time.perf_counter() - began)


def of_workers(journal: Journal) -> dict[str, float]:
    """What all processes that work on a journal say of themselves, as metrics."""
    return {
        f"workers/{state['worker']}/{key}": value
        for state in journal.states()
        for key, value in state.items()
        if isinstance(value, int | float)
    }


@dataclass(frozen=True, slots=True)
class Watch:
    """A synthesis of `total` samples, called `name`; `limit` is the result of `probe`, or None."""

    job: Job[StageConfig]
    name: str
    total: int
    journal: Journal
    meters: Meters
    authors: Mapping[Role, Author]
    limit: float | None

    async def look_on(self) -> None:
        """Report progress twice a second and metrics every `LOG_EVERY_S`, until cancelled."""
        logged = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            self.job.progress(self.journal.finished(), self.total, "responses", self.note())
            if self.job.workers is not None:
                self.job.workers.check()
            if time.monotonic() - logged >= LOG_EVERY_S:
                logged = time.monotonic()
                await self.log()

    async def log(self) -> None:
        """Log everything measured to the job's metrics, and what the other processes say of themselves."""
        values = self.values()
        for role, author in self.authors.items():
            stats = await author.engine.stats()
            values["predictor_busy_s"] += getattr(author.predictor, "busy_s", 0.0)
            values[f"prefix_cache_hit_rate/{role}"] = stats.prefix_hits / max(1, stats.prefix_tokens)
        if (use := await asyncio.to_thread(gpu_use)) is not None:
            values["gpu_use"] = use
        self.journal.show(self.state(use))
        if self.job.workers is not None:
            values |= of_workers(self.journal)
        self.job.tracker.log({f"{self.name}/{key}": value for key, value in values.items()})

    def state(self, gpu_use: float | None) -> dict[str, float | str]:
        """What this process's signs of life say."""
        found: dict[str, float | str] = {
            "stage": self.job.name,
            "work": self.name,
            "rate": self.meters.values()["accepted_tokens_per_s"],
            "unit": "tokens/s",
            "done": self.meters.outcomes.total(),
            "in_flight": self.journal.queue()[1],
            "faults": self.meters.faults.total(),
        }
        return found | ({} if gpu_use is None else {"gpu_use": gpu_use})

    def values(self) -> dict[str, float]:
        """The meters, the queue, and the share of `limit` if that is known."""
        waiting, in_flight = self.journal.queue()
        values = {**self.meters.values(), "queue_depth": waiting, "in_flight": in_flight}
        if self.limit is not None:
            values["plain_tokens_per_s"] = self.limit
            values["share_of_limit"] = values["accepted_tokens_per_s"] / self.limit
        return values

    def note(self) -> str:
        """A short form of the values for the progress line."""
        values = self.values()
        share = f" ({values['share_of_limit']:.0%} of plain requests)" if self.limit is not None else ""
        rate = f"{values['accepted_tokens_per_s']:,.0f} tokens/s{share}"
        return f"{rate}, {values['in_flight']:,.0f} in flight, {values['queue_depth']:,.0f} waiting"
