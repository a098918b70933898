"""Judges many submissions at once; results come in the order of submissions.

Not covered: how the work is shared out (`workers`), and keeping results (the caller writes them as they come,
and leaves out what it has).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from eval.judge.extract import Format
from eval.judge.formats import FORMATS
from eval.judge.records import Judgement, Mode, Place, Submission
from eval.judge.workers import Workers, physical_cores
from eval.sandbox import require


def judge(
    submissions: Iterable[Submission],
    *,
    format: Format,
    problems: Path,
    workers: int | None = None,
    mode: Mode | Literal["both"] = "strict",
    on_progress: Callable[[int, int], None] | None = None,
    commit: str | None = None,
) -> Iterator[Judgement]:
    """Judge `submissions` against the test data in `problems`; yields in their order.

    `workers` programs run at once (None: one per physical core). With `mode` "both" a judgement is the
    strict one and holds the fixed one; programs run once where that serves both. `on_progress(done, total)`
    is called as each is decided. `commit` is that of the official code which `strict` follows, where several
    are known (LiveCodeBench), by default the newest. Raises `ValueError` before anything runs if a problem,
    language or commit is unknown, and `SandboxUnavailable` where programs cannot be isolated.
    """
    waiting = list(submissions)
    where = check_problems(format, problems, {s.problem_id for s in waiting})
    for submission in waiting:
        if submission.language not in FORMATS[format].languages:
            raise ValueError(
                f"submission for problem {submission.problem_id!r}: {format} does not judge language "
                f"{submission.language!r}; known are {', '.join(FORMATS[format].languages)}"
            )
    require()
    modes: tuple[Mode, ...] = ("strict", "fixed") if mode == "both" else (mode,)
    crew = Workers(format, modes, where, waiting, workers or len(physical_cores()), commit)
    return _in_order(crew, on_progress)


def check_problems(format: Format, problems: Path, wanted: Iterable[str] | None = None) -> dict[str, Place]:
    """Where each problem's tests are; `wanted` narrows to some ids and makes each of them required.

    Every one is loaded, which looks up all its files. Raises `ValueError` naming what is missing or broken.
    """
    if format not in FORMATS:
        raise ValueError(f"format {format!r} is unknown; known are {', '.join(FORMATS)}")
    rules = FORMATS[format]
    if not problems.exists():
        raise ValueError(f"problems {problems}: no such directory; download the {rules.title} test data")
    found = rules.find(problems)
    if not found:
        raise ValueError(f"problems {problems}: holds no {rules.title} problem; expected {rules.layout}")
    if wanted is None:
        wanted = found
    where = {}
    for problem_id in wanted:
        if rules.key(problem_id) in rules.skipped:
            continue
        if rules.key(problem_id) not in found:
            raise ValueError(
                f"problem {problem_id!r}: no tests in {problems}; download them, or drop the problem"
            )
        where[problem_id] = found[rules.key(problem_id)]
        try:
            rules.load(problem_id, where[problem_id])
        except OSError as error:  # not readable, or no room to unpack it
            raise ValueError(f"problem {problem_id!r}: its tests cannot be loaded: {error}") from None
    return where


def _in_order(workers: Workers, on_progress: Callable[[int, int], None] | None) -> Iterator[Judgement]:
    ready: dict[int, Judgement] = {}
    turn, total = 0, len(workers.submissions)
    with workers:
        for done in range(1, total + 1):
            index, judgement = workers.next_result()
            ready[index] = judgement
            if on_progress:
                on_progress(done, total)
            while turn in ready:
                yield ready.pop(turn)
                turn += 1
