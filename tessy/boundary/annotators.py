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
    by_id = {segment.segment_id: segment for segment in segments}
    questions = {name: prompt.replace(PLACE, one.text.strip()) for name, one in by_id.items()}
    await ask_each(
        questions,
        ask,
        journal,
        lambda name, answers: usable(answers, by_id[name]),
        attempts=attempts,
        seed=seed,
        concurrency=concurrency,
        on_done=on_done,
    )
    return summarize(segments, journal.answers)


async def ask_each(
    questions: Mapping[str, str],
    ask: Ask,
    journal: AnswerJournal,
    enough: Callable[[str, Sequence[str]], bool],
    *,
    attempts: int,
    seed: str,
    concurrency: int,
    on_done: Callable[[int], None] = lambda _: None,
) -> None:
    """Ask every one of `questions` by key until `enough` says that its answers can be used, at most
    `attempts` times each and `concurrency` at a time; answers go to `journal`."""
    gate, done = asyncio.Semaphore(concurrency), 0

    async def one(name: str, question: str) -> None:
        nonlocal done
        async with gate:
            answers = journal.answers[name]
            while not enough(name, answers) and len(answers) < attempts:
                journal.append(name, await ask(question, seed_of(seed, name, len(answers))))
        done += 1
        on_done(done)

    async with asyncio.TaskGroup() as group:
        for name, question in questions.items():
            group.create_task(one(name, question))


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


def seed_of(seed: str, name: str, attempt: int) -> int:
    """A 31-bit seed for one attempt at a question, by hashing."""
    digest = hashlib.blake2b(f"{seed}/{name}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
