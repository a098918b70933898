"""A file of submissions judged by this process and any other of the same command.

Not covered: where judgements are kept, and who has claimed what (`results`).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from eval.judge.conditions import conditions, require_alike
from eval.judge.extract import Format
from eval.judge.records import Judgement, Mode, Submission
from eval.judge.results import Results
from eval.judge.rows import Row, digest
from eval.judge.run import judge
from eval.judge.verdicts import WORDS
from tessy.processes import python_module

POLL_S = 0.5
"""How often a process looks that has nothing to judge, and the state of others is asked for."""
Progress = Callable[[int, int, str], None]
"""Told how many are judged, of how many, and by whom."""
Judging = Callable[[Mapping[int, Submission], Results, Progress], None]
"""Sees to it that the submissions (by row) are judged."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged, and how."""

    format: Format
    problems: Path
    responses: Path
    out: Path
    workers: int | None
    mode: Mode | Literal["both"]
    commit: str | None

    @property
    def decided_by(self) -> tuple[str, ...]:
        """All that decides verdicts but the test data's content. Raises `UserError`."""
        return self.format, self.mode, self.commit or "", str(self.problems.resolve()), digest(self.responses)

    @property
    def helping(self) -> list[str]:
        """The command that helps, in any folder."""
        options = {
            "format": self.format, "problems": self.problems.absolute(),
            "responses": self.responses.absolute(), "out": self.out.absolute(),
            "workers": self.workers, "mode": self.mode, "commit": self.commit,
        }  # fmt: skip
        said = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return python_module("tessy.cli", "judge", *said, "--join")


def judge_here(
    asked: Asked, submissions: Mapping[int, Submission], results: Results, progress: Progress
) -> None:
    """Judge rows as this process claims them, until all are judged by somebody. Raises `UserError` where
    conditions are others than where judging was begun, `SandboxUnavailable` where programs cannot be
    isolated."""
    seen = _Seen(results, len(submissions), progress)
    anew = f", or delete {results.folder} to begin anew"
    while not results.is_complete():
        if (first := results.claim()) is None:
            seen.update(0)
            time.sleep(POLL_S)  # others have what is left: look whether they live
            continue
        require_alike(results.conditions_file, conditions(asked.format), anew)
        begun: deque[int] = deque()
        own = results.judged
        judged = judge(
            _claimed(first, results, submissions, begun),
            format=asked.format,
            problems=asked.problems,
            workers=asked.workers,
            mode=asked.mode,
            commit=asked.commit,
            among=list(submissions.values()),
            on_progress=lambda done, _, own=own: seen.update(own + done - results.judged),  # type: ignore[misc]
        )
        # An interrupt may come between two judgements: what runs has to end then, too.
        with contextlib.closing(judged):
            for judgement in judged:
                results.put(begun.popleft(), as_row(judgement))


def _claimed(
    first: int, results: Results, submissions: Mapping[int, Submission], begun: deque[int]
) -> Iterator[Submission]:
    """Submissions as this process claims them, row `first` already; their rows are added to `begun`."""
    number: int | None = first
    while number is not None:
        begun.append(number)
        yield submissions[number]
        number = results.claim()


class _Seen:
    """Tells of progress, and shows that of this process to others."""

    def __init__(self, results: Results, total: int, progress: Progress) -> None:
        self._results, self._total, self._progress = results, total, progress
        self._began = time.monotonic()
        self._asked = self._elsewhere = 0.0
        self._who = ""

    def update(self, held: int) -> None:
        """This process has judged `held` more than it has put down, as they wait for earlier ones."""
        now, results = time.monotonic(), self._results
        if now - self._asked > POLL_S:
            self._asked, self._elsewhere = now, results.done() - results.judged
            results.show({"done": results.judged, "rate": results.judged / max(now - self._began, 1e-9)})
            others = len(results.states()) - 1
            self._who = f"{others + 1} processes" if others > 0 else ""
        self._progress(int(self._elsewhere) + results.judged + held, self._total, self._who)


def merged(
    rows: Sequence[Row], results: Results, format: Format, mode: str
) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Every row with its judgement, in order; those that are no submission are IE."""
    judged = results.rows()
    for row in rows:
        yield row, next(judged) if row.submission else unusable(format, mode, row.trouble)


def unusable(format: Format, mode: str, trouble: str) -> dict[str, Any]:
    """The judgement of a row that is no submission."""
    row = {"verdict": "IE", "official": WORDS[format]["IE"], "tests": [], "detail": trouble}
    return row | {"fixed": row} if mode == "both" else row


def as_row(judgement: Judgement) -> dict[str, Any]:
    """What is added to the row of a submission."""
    row = {
        "verdict": judgement.verdict,
        "official": judgement.official,
        "tests": [asdict(test) for test in judgement.tests],
        "detail": judgement.detail,
    }
    return row | {"fixed": as_row(judgement.fixed)} if judgement.fixed else row
