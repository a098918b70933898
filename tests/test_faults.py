"""Synthesis against servers that fail in every way: what can be written is written, the rest is recorded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from bad_server import VOCABULARY, BadServer, bad_server
from scripted import CharacterRenderer, samples

from tessy.config.base import Sampler
from tessy.config.methods import METHODS
from tessy.engines import Continuation, Engine, EngineStats, Request
from tessy.engines.server import ServerEngine
from tessy.errors import UserError
from tessy.generation.writing import keeps_to_schemas
from tessy.records import Trajectory, from_row
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author
from tessy.synthesis.scheduler import Patience, Schedule, write_all

FIRST, THOUGHT, ANSWERED = 200, 240, 270
"""The counting model thinks from the first of these ids to the second, and answers up to the third."""
FAULTS = ("broken", "busy", "hang", "half_json", "drop", "cut", "line_broken", "line_half_json", "line_drop")


class CountingRenderer(CharacterRenderer):
    thinking_end_ids = (THOUGHT,)
    answer_end_ids = (ANSWERED,)

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        return [FIRST]

    def close_thinking_ids(self, thinking: str) -> list[int]:
        return [THOUGHT]


class Unsteady:
    """An engine in front of several servers that treats every request as the next of `manners` does."""

    def __init__(self, engines: dict[str, Engine], manners: Iterator[str]) -> None:
        self._engines, self._manners = engines, manners

    def open(self, request: Request) -> Continuation:
        return self._engines[next(self._manners)].open(request)

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""

    async def stats(self) -> EngineStats:
        return EngineStats()

    async def close(self) -> None:
        """The engines are closed by who opened them."""


@pytest.fixture(scope="module")
def server() -> Iterator[BadServer]:
    with bad_server() as running:
        yield running


def write(
    folder: Path,
    url: str,
    manners: Iterator[str],
    patience: Patience,
    used: Sequence[str],
    must_finish: bool = False,
) -> tuple[list[Trajectory], Meters]:
    meters, wanted = Meters(), samples(12)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            engines: dict[str, Engine] = {}
            for manner in used:
                engine = await ServerEngine.connect(
                    [f"{url}/{manner}"], Sampler(temperature=0.0), timeout_s=0.3, vocabulary=VOCABULARY
                )
                stack.push_async_callback(engine.close)
                engines[manner] = engine
            author = Author("counter", Unsteady(engines, manners))
            renderer = {"student": CountingRenderer()}
            method = METHODS["student_only"]
            spec = Assignment("s", method, {"student": author}, renderer, "student", 900, 0, {})  # type: ignore[arg-type, dict-item]
            spec = replace(spec, must_finish=must_finish)
            with Journal(folder) as journal:
                await write_all(wanted, spec, journal, Schedule(4, 512, patience=patience), meters)

    asyncio.run(run())
    with Journal(folder) as journal:
        return [from_row(Trajectory, row) for row in journal.rows(s.sample_id for s in wanted)], meters


def text(first: int, end: int) -> str:
    return "".join(map(chr, range(first, end)))


def test_whatever_fails_sometimes_is_asked_again_and_nothing_is_lost(
    tmp_path: Path, server: BadServer
) -> None:
    rng = random.Random(0)
    manners = iter(lambda: rng.choice([*FAULTS, "good", "good", "line_good"]), "")
    patience = Patience(attempts=200, seconds=60, pause_s=0.001, longest_pause_s=0.01)
    written, meters = write(tmp_path / "j", server.url, manners, patience, [*FAULTS, "good", "line_good"])
    for trajectory in written:
        assert trajectory.stop_reason == "finished"
        assert "".join(s.text for s in trajectory.spans if s.kind == "thinking") == text(FIRST + 1, THOUGHT)
        assert trajectory.spans[-1].text == text(THOUGHT + 1, ANSWERED)
    assert meters.faults.total() > 10
    assert len(meters.faults) >= 4


def test_a_sample_that_keeps_failing_is_recorded_with_its_reason_and_no_other_suffers(
    tmp_path: Path, server: BadServer
) -> None:
    order = iter(["broken"] * 3 + ["good"] * 1000)
    patience = Patience(attempts=1, seconds=60, pause_s=0.001)
    written, meters = write(tmp_path / "j", server.url, order, patience, ["broken", "good"])
    failed = [t for t in written if t.stop_reason == "failed"]
    assert len(failed) == 3
    assert all("500" in t.failure for t in failed)
    assert sum(t.stop_reason == "finished" for t in written) == 9
    assert meters.outcomes == {"failed": 3, "finished": 9}


@pytest.mark.parametrize("manner", ["expired", "line_expired"])
def test_a_key_that_is_no_longer_taken_ends_the_work_and_costs_no_sample(
    tmp_path: Path, server: BadServer, manner: str
) -> None:
    order = iter(["good"] * 5 + [manner] + ["good"] * 1000)
    with pytest.raises(
        UserError, match=r"locked: HTTP 401.*api_key_env names and run the same command again"
    ):
        write(tmp_path / "j", server.url, order, Patience(), [manner, "good"])
    written, _ = write(tmp_path / "j", server.url, order, Patience(), [manner, "good"])
    assert {t.stop_reason for t in written} == {"finished"}


def test_where_every_sample_must_finish_a_failure_ends_the_work_and_is_not_kept(
    tmp_path: Path, server: BadServer
) -> None:
    patience, used = Patience(attempts=1, seconds=60, pause_s=0.001), ["broken", "good"]
    order = iter(["good"] * 5 + ["broken"] + ["good"] * 1000)
    with pytest.raises(UserError, match=r"the engine failed on p\d+#0: server error.*run again"):
        write(tmp_path / "j", server.url, order, patience, used, must_finish=True)
    written, _ = write(tmp_path / "j", server.url, order, patience, used, must_finish=True)
    assert {t.stop_reason for t in written} == {"finished"}


@pytest.mark.parametrize(
    ("manners", "kept"),
    [(["obedient"], True), (["obedient", "good"], False), (["good", "obedient"], False), (["refuse"], False)],
)
def test_schemas_are_kept_to_where_every_server_keeps_to_them(
    server: BadServer, manners: list[str], kept: bool
) -> None:
    async def ask() -> bool:
        urls = [f"{server.url}/{manner}" for manner in manners]
        engine = await ServerEngine.connect(
            urls, Sampler(temperature=0.0), timeout_s=0.3, vocabulary=VOCABULARY
        )
        try:
            return await keeps_to_schemas(engine, CharacterRenderer())  # type: ignore[arg-type]
        finally:
            await engine.close()

    assert asyncio.run(ask()) is kept


def test_a_request_that_is_refused_is_not_repeated(tmp_path: Path, server: BadServer) -> None:
    order = iter(["refuse"] + ["good"] * 1000)
    written, meters = write(tmp_path / "j", server.url, order, Patience(), ["refuse", "good"])
    assert sum(t.stop_reason == "failed" for t in written) == 1
    assert meters.faults == {"refused": 1}


def test_waiting_for_a_server_that_is_gone_ends(tmp_path: Path) -> None:
    with bad_server() as server:
        url = server.url
        patience = Patience(attempts=1, seconds=0.2, pause_s=0.01, longest_pause_s=0.05)

        def then_gone() -> Iterator[str]:
            yield "good"
            server.well = False
            while True:
                yield "drop"

        written, _ = write(tmp_path / "j", url, then_gone(), patience, ["good", "drop"])
    assert {t.stop_reason for t in written} == {"failed"}
    assert all("for 0 s" in t.failure or "times" in t.failure for t in written)
