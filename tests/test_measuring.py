"""What a synthesis under way tells of itself: its queue, its rate, its share of what engines can do."""

from __future__ import annotations

import asyncio
from io import StringIO
from pathlib import Path

import pytest
from jobs import job_at
from rich.console import Console
from scripted import assignment, samples

from tessy.engines import Continuation, EngineStats, Request
from tessy.generation.measuring import Watch, probe
from tessy.runtime.display import Display
from tessy.runtime.stage import StageConfig
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Author
from tessy.synthesis.scheduler import Schedule, write_all
from tessy.tracking import read_metrics


class SteadyEngine:
    """Every request takes a twentieth of a second, however many there are."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.held: set[str] = set()

    def open(self, request: Request) -> Continuation:
        self.asked.append(request.max_tokens)
        self.held.add(request.sample_id)
        continuation = Continuation()
        asyncio.get_running_loop().call_later(0.05, continuation.push, [7] * request.max_tokens, "length")
        return continuation

    def release(self, sample_id: str) -> None:
        self.held.remove(sample_id)

    async def stats(self) -> EngineStats:
        return EngineStats()

    async def close(self) -> None:
        """Nothing is held."""


def test_a_probe_asks_every_author_for_every_sample_at_once() -> None:
    engine, spec = SteadyEngine(), assignment(7)
    authors = {role: Author(role, engine) for role in spec.authors}
    rate = asyncio.run(probe(authors, spec.renderers, samples(10), 50))
    assert sorted(engine.asked) == [8] * 2 + [50] * 20
    assert not engine.held
    assert rate == pytest.approx(20 * 50 / 0.05, rel=0.5)


def test_queue_and_share_are_among_the_metrics(tmp_path: Path) -> None:
    job, seen = job_at(tmp_path, "tessy", StageConfig()), list[tuple[int, int]]()

    async def run(journal: Journal) -> None:
        spec = assignment(7)
        watch = Watch(job, "t", 5, journal, Meters(), spec.authors, 1e9)
        at_work = Schedule(2, None)
        await write_all(
            samples(5), spec, journal, at_work, watch.meters, lambda: seen.append(journal.queue())
        )
        assert "tokens/s (0% of plain requests), 0 in flight, 0 waiting" in watch.note()
        await watch.log()

    with Journal(tmp_path / "journal") as journal:
        asyncio.run(run(journal))
    assert max(in_flight for _, in_flight in seen) == 1  # Besides the one that is done.
    assert seen[0][0] == 3
    (metrics,) = read_metrics(job.out)
    assert 0 < metrics["t/share_of_limit"] < 1
    assert metrics["t/plain_tokens_per_s"] == 1e9
    assert metrics["t/queue_depth"] == metrics["t/in_flight"] == 0


def test_a_note_stands_on_the_progress_line() -> None:
    out = StringIO()
    with Display(Console(file=out, width=200)) as display:
        display.started("synthesize-tessy")
        display._watched["synthesize-tessy"].last_line = 0
        message = {"done": 3, "total": 9, "unit": "responses", "note": "120 tokens/s"}
        display.heard("synthesize-tessy", message)
    assert "3/9 responses; 120 tokens/s" in out.getvalue()
