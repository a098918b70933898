"""Asks a language model for the style spans of segments, repeats unusable answers, and counts them.

Every answer is journaled before it is parsed, so an interrupted annotation resumes where it stopped and no
answer is paid for twice. A segment without a usable answer is dropped (paper); faults of the endpoint do not
count as answers and end the stage instead.

Not covered: the endpoint (`chat_endpoint`), what makes an answer usable (`matching`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tessy.boundary.labels import StyleSpan
from tessy.boundary.matching import ACCEPTED, Outcome, read_answer
from tessy.boundary.segments import Segment
from tessy.errors import UserError
from tessy.jsonl import AppendedLines

Ask = Callable[[str, int], Awaitable[str]]
"""A prompt and a seed for its random numbers -> the answer."""

PLACE = "{segment}"
"""Where a prompt file has the segment."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """Style spans by segment id, for segments with a usable answer, and how often each outcome occurred."""

    style: Mapping[str, Sequence[StyleSpan]]
    outcomes: Mapping[Outcome, int]


class AnswerJournal:
    """Every answer as a line of JSON, written before it is parsed; `answers` maps the id of what was
    asked about to its answers in order."""

    def __init__(self, path: Path) -> None:
        self._lines = AppendedLines(path)
        self.answers: dict[str, list[str]] = defaultdict(list)
        for row in self._lines.rows:
            self.answers[row["about"]].append(row["answer"])

    def append(self, about: str, answer: str) -> None:
        self.answers[about].append(answer)
        self._lines.append({"about": about, "answer": answer})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.__exit__()


def load_prompt(path: Path) -> str:
    """A prompt template with a placeholder for the segment."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"prompt {path}: cannot be read: {error}; check predictors.annotator.prompt"
        ) from None
    if text.count(PLACE) != 1:
        raise UserError(f"prompt {path}: holds {PLACE} {text.count(PLACE)} times; it must stand there once")
    return text


async def annotate(
    segments: Sequence[Segment],
    ask: Ask,
    journal: AnswerJournal,
    *,
    prompt: str,
    attempts: int,
    seed: str,
    concurrency: int,
    on_done: Callable[[int], None] = lambda _: None,
) -> Annotated:
    """Ask about every segment, at most `concurrency` at a time and up to `attempts` times each."""
    gate, done = asyncio.Semaphore(concurrency), 0

    async def one(segment: Segment) -> None:
        nonlocal done
        async with gate:
            answers = journal.answers[segment.segment_id]
            while not usable(answers, segment) and len(answers) < attempts:
                question = prompt.replace(PLACE, segment.text.strip())
                journal.append(
                    segment.segment_id,
                    await ask(question, seed_of(seed, segment.segment_id, len(answers))),
                )
        done += 1
        on_done(done)

    async with asyncio.TaskGroup() as group:
        for segment in segments:
            group.create_task(one(segment))
    return summarize(segments, journal.answers)


def usable(answers: Sequence[str], segment: Segment) -> bool:
    return bool(answers) and read_answer(answers[-1], segment.text).outcome in ACCEPTED


def summarize(segments: Sequence[Segment], answers: Mapping[str, Sequence[str]]) -> Annotated:
    """Parse all answers: the usable one of each segment, and how often each outcome occurred."""
    style: dict[str, Sequence[StyleSpan]] = {}
    outcomes: Counter[Outcome] = Counter()
    for segment in segments:
        for answer in answers.get(segment.segment_id, ()):
            reading = read_answer(answer, segment.text)
            outcomes[reading.outcome] += 1
            if reading.outcome in ACCEPTED:
                style[segment.segment_id] = reading.spans
    return Annotated(style, dict(outcomes))


def seed_of(seed: str, segment_id: str, attempt: int) -> int:
    """A 31-bit seed for one attempt at a segment, by hashing."""
    digest = hashlib.blake2b(f"{seed}/{segment_id}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
