"""Judges many submissions at once; results come in the order of submissions.

Not covered: how the work is shared out (`workers`), and keeping results (the caller writes them as they come,
and leaves out what it has).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Literal

from eval.judge.extract import Format
from eval.judge.formats import FORMATS
from eval.judge.records import Judgement, Mode, Place, Submission
from eval.judge.workers import Workers, physical_cores
from eval.sandbox import require

_WINDOW = 16
"""Submissions per worker that are sorted by length: enough to balance, few enough to yield steadily."""


def judge(
    submissions: Iterable[Submission],
    *,
    format: Format,
    problems: Path,
    workers: int | None = None,
    mode: Mode | Literal["both"] = "strict",
    done: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    commit: str | None = None,
    among: Sequence[Submission] | None = None,
) -> Generator[Judgement]:
    """Judge `submissions` against the test data in `problems`; yields in their order.

    They are taken from an iterator as workers need them where `among` says which may come: several processes
    can then share them out.

    `workers` programs run at once (None: one per physical core). With `mode` "both" a judgement is the
    strict one and holds the fixed one; programs run once where that serves both. `on_progress(done, total)`
    is called as each is decided. `commit` is that of the official code which `strict` follows, where several
    are known (LiveCodeBench), by default the newest. The first `done` were judged before and are left out.
    What cannot be judged, as its problem is unknown or unusable or its language is unknown, is IE with the
    reason as its detail; if that is all of them, or `commit` is unknown, `ValueError` is raised before
    anything runs. Raises `SandboxUnavailable` where programs cannot be isolated.
    """
    known = list(submissions) if among is None else among
    where, trouble = _places(format, problems, dict.fromkeys(s.problem_id for s in known))

    def refused(submission: Submission) -> str:
        return trouble.get(submission.problem_id) or _language(format, submission)

    if known and all(map(refused, known)):
        raise ValueError(refused(known[0]))
    require()
    modes: tuple[Mode, ...] = ("strict", "fixed") if mode == "both" else (mode,)
    count = workers or len(physical_cores())
    coming, window = (known[done:], _WINDOW * count) if among is None else (submissions, count)
    judges = Workers(format, modes, where, coming, count, window=window, refused=refused, commit=commit)
    return _in_order(judges, done, len(known), on_progress)


def _language(format: Format, submission: Submission) -> str:
    known = FORMATS[format].languages
    if submission.language in known:
        return ""
    return (
        f"submission for problem {submission.problem_id!r}: {format} does not judge language "
        f"{submission.language!r}; known are {', '.join(known)}"
    )


def unusable(format: Format, problems: Path, wanted: Iterable[str] | None = None) -> dict[str, str]:
    """The problems whose tests cannot be used, and why; `wanted` names those that there should be, None: all.

    Each is loaded, which looks up all its files. Problems that are skipped officially are not among them.
    Raises `ValueError` where there is no problem at all.
    """
    return _places(format, problems, _found(format, problems) if wanted is None else wanted)[1]


def _found(format: Format, problems: Path) -> dict[str, Place]:
    if format not in FORMATS:
        raise ValueError(f"format {format!r} is unknown; known are {', '.join(FORMATS)}")
    rules = FORMATS[format]
    if not problems.exists():
        raise ValueError(f"problems {problems}: no such directory; download the {rules.title} test data")
    found = rules.find(problems)
    if not found:
        raise ValueError(f"problems {problems}: holds no {rules.title} problem; expected {rules.layout}")
    return found


def _places(format: Format, problems: Path, wanted: Iterable[str]) -> tuple[dict[str, Place], dict[str, str]]:
    """Where the tests of the wanted problems are, and what is wrong with those that cannot be judged;
    problems that are skipped are in neither. Raises `ValueError` where there is no problem at all."""
    rules, found = FORMATS[format], _found(format, problems)
    where, trouble = {}, {}
    for problem_id in wanted:
        key = rules.key(problem_id)
        if key in rules.skipped:
            continue
        if key not in found:
            trouble[problem_id] = (
                f"problem {problem_id!r}: no tests in {problems}; download them, or drop the problem"
            )
            continue
        try:
            rules.load(problem_id, found[key])
            where[problem_id] = found[key]
        except (ValueError, RecursionError) as error:
            trouble[problem_id] = str(error)
        except OSError as error:  # not readable, or no room to unpack it
            trouble[problem_id] = f"problem {problem_id!r}: its tests cannot be loaded: {error}"
    return where, trouble


def _in_order(
    workers: Workers, before: int, total: int, on_progress: Callable[[int, int], None] | None
) -> Generator[Judgement]:
    ready: dict[int, Judgement] = {}
    turn, done = 0, before
    with workers:
        while (found := workers.next_result()) is not None:
            index, judgement = found
            ready[index] = judgement
            done += 1
            if on_progress:
                on_progress(done, total)
            while turn in ready:
                yield ready.pop(turn)
                turn += 1
