"""What scheduling itself costs: synthesis with authors that need no time, from a long queue.

Two scripted authors take turns every few words over ids that are characters; all that is measured is this
project's own work: requests, cuts, turns, the journal. Every tenth of the run is told apart, so that a
cost or a memory that grows with the queue shows.
"""

from __future__ import annotations

import asyncio
import random
import resource
import string
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from tessy.bench.plain import END, PlainRenderer
from tessy.chat import Renderer
from tessy.config.methods import METHODS
from tessy.engines.scripted import ScriptedEngine
from tessy.records import ROLES, Problem, Role
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author, samples_of
from tessy.synthesis.scheduler import Schedule, write_all

STRIDE, REACH, CONCURRENCY = 8, 64, 256


class _Characters(PlainRenderer):
    """A renderer whose ids are code points."""

    fingerprint = "characters"

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        return [*self.encode(prompt), ord("|")]

    def encode(self, text: str) -> list[int]:
        return list(map(ord, text))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return list(map(chr, ids))


class _Case:
    """Foreign to the student are upper case and digits, to the teacher lower case."""

    def __init__(self, role: Role) -> None:
        self._foreign = str.islower if role == "teacher" else lambda c: c.isupper() or c.isdigit()

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        return [(offset, self._foreign(character)) for offset, character in enumerate(chunk)]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


def measure(problems: int, tokens: int) -> dict[str, Any]:
    """Microseconds per accepted span and peak MiB for every tenth of `problems` traces of `tokens` tokens."""
    whole = _thinking(tokens)
    script = [*map(ord, whole), END, *map(ord, "print(7)"), END]

    def rest(ids: Sequence[int]) -> Sequence[int]:
        written = len(ids) - ids.index(ord("|")) - 1
        return script[written : written + REACH]

    renderer = cast(Renderer, _Characters())
    authors = {role: Author(role, ScriptedEngine(rest), _Case(role), STRIDE) for role in ROLES}
    method = METHODS["tessy"]
    spec = Assignment(
        "tessy", method, authors, {"student": renderer, "teacher": renderer}, "student", len(script), 0, {}
    )
    samples = samples_of(Problem(f"p{n}", f"problem {n}") for n in range(problems))
    meters, marks, done = Meters(), [_mark(Meters())], 0

    def on_done() -> None:
        nonlocal done
        done += 1
        if done % max(1, problems // 10) == 0:
            marks.append(_mark(meters))

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        asyncio.run(write_all(samples, spec, journal, Schedule(CONCURRENCY, REACH), meters, on_done))
    assert meters.outcomes == {"finished": problems}
    tenths = [
        {"us_per_span": 1e6 * (b[0] - a[0]) / max(1, b[1] - a[1]), "peak_mib": b[2]}
        for a, b in pairwise(marks)
    ]
    seconds, spans, _ = marks[-1]
    return {
        "problems": problems,
        "tokens_each": len(whole),
        "spans": spans,
        "us_per_span": 1e6 * (seconds - marks[0][0]) / spans,
        "us_per_token": 1e6 * (seconds - marks[0][0]) / (problems * len(script)),
        "tenths": tenths,
    }


def _thinking(tokens: int) -> str:
    """Short spans in turn, of words that do not repeat: the repetition guard is at work as well."""
    rng, out = random.Random(0), ""
    while len(out) < tokens:
        word = "".join(rng.choices(string.ascii_lowercase, k=6))
        out += f"so then {word} it is, {word.upper()} = 12 * {word[::-1].upper()} + {rng.randrange(100)}; "
    return out


def _mark(meters: Meters) -> tuple[float, int, float]:
    """CPU seconds so far, spans accepted, peak MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.process_time(), meters.switches, peak
