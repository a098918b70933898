"""Cooperation on a real vLLM server: however it is scheduled, the traces are distributed alike."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import NormalDist, fmean, stdev

import pytest
from scripted import CharacterRenderer

from tessy.chat import FORMATS
from tessy.config.base import Sampler
from tessy.config.methods import METHODS
from tessy.engines.server import ServerEngine
from tessy.records import ROLES, Problem, Role, Trajectory, from_row
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author, samples_of
from tessy.synthesis.scheduler import Schedule, write_all
from tests.vllm_server import CHARACTERS, END, Codec, Host

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(500)]
SAMPLES, TOKENS = 96, 120


class PrintableRenderer(CharacterRenderer):
    """Ids are printable characters; nothing ends but by length."""

    thinking_end_ids = answer_end_ids = (END,)
    format = FORMATS["qwen3"]

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        return self.encode(prompt)

    def close_thinking_ids(self, thinking: str) -> list[int]:
        return [END]

    close_answer_ids = CharacterRenderer.open_thinking_ids

    def encode(self, text: str) -> list[int]:
        return Codec().encode(text)

    def pieces(self, ids: object) -> list[str]:
        return [CHARACTERS[token] if token < END else "" for token in ids]  # type: ignore[attr-defined]


class Letters:
    """Foreign to the student are upper-case letters, to the teacher digits."""

    def __init__(self, role: Role) -> None:
        self._foreign = str.isupper if role == "student" else str.isdigit

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        return [(offset, self._foreign(character)) for offset, character in enumerate(chunk)]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


def synthesize(folder: Path, url: str, schedule: Schedule, chunk: int) -> list[Trajectory]:
    samples = samples_of([Problem("p", "Write: ")], SAMPLES)

    async def run() -> None:
        engine = await ServerEngine.connect([url], Sampler(temperature=1.0), timeout_s=60, vocabulary=END + 1)
        authors = {role: Author(role, engine, Letters(role), chunk) for role in ROLES}
        renderers = dict.fromkeys(ROLES, PrintableRenderer())
        spec = Assignment("t", METHODS["tessy"], authors, renderers, "student", TOKENS, 0, {})  # type: ignore[arg-type]
        with Journal(folder) as journal:
            await write_all(samples, spec, journal, schedule, Meters())
        await engine.close()

    asyncio.run(run())
    with Journal(folder) as journal:
        return [from_row(Trajectory, row) for row in journal.rows(sample.sample_id for sample in samples)]


def teacher_share(trajectory: Trajectory) -> float:
    tokens = {role: sum(s.tokens for s in trajectory.spans if s.author == role) for role in ROLES}
    return tokens["teacher"] / sum(tokens.values())


def mean_span(trajectory: Trajectory) -> float:
    return fmean(span.tokens for span in trajectory.spans)


def test_streaming_and_literal_chunks_write_traces_alike(tmp_path: Path, host: Host) -> None:
    streamed = synthesize(tmp_path / "stream", host.url, Schedule(32, 64), chunk=4)
    literal = synthesize(tmp_path / "literal", host.url, Schedule(32, None), chunk=20)
    both = [t for t in (*streamed, *literal) if len({span.author for span in t.spans}) == 2]
    assert len(both) > SAMPLES, "cooperation hardly happened"
    for measure in (teacher_share, mean_span):
        one, two = ([measure(t) for t in written] for written in (streamed, literal))
        spread = (stdev(one) ** 2 / len(one) + stdev(two) ** 2 / len(two)) ** 0.5
        # A difference this large comes by chance once in ten thousand runs.
        assert abs(fmean(one) - fmean(two)) < spread * NormalDist().inv_cdf(1 - 0.00005), measure.__name__
