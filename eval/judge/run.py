"""Judges many submissions at once.

One thread per worker takes submissions, within a window the longest first, and runs their tests one after
the other, each on a core of its own where they fill the machine. Results come in the order of submissions.
A time limit missed by little is tried again with nobody else running; a failure of the sandbox is tried
again, then is IE, and never a wrong answer.

Not covered: keeping results (the caller writes them as they come, and leaves out what it has).
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from eval.judge import verdicts
from eval.judge.cases import Bench, run_case
from eval.judge.compile import HELPER, CompileError, Language, Program, build
from eval.judge.extract import Format, extract_code
from eval.judge.formats import FORMATS
from eval.judge.records import (
    BrokenTestData,
    Case,
    CaseResult,
    Checker,
    Judgement,
    JudgeProblem,
    Mode,
    Place,
    Source,
    Submission,
    Verdict,
)
from eval.sandbox import SandboxError, require

_PAUSES_S = (0.1, 1.0)
"""Before each further attempt when the sandbox fails: trouble of the machine is often brief."""
_DETAIL_LIMIT = 2000
_WINDOW = 16
"""Submissions per worker that are sorted by length: enough to balance, few enough to yield steadily."""
T = TypeVar("T")


class _Stopped(Exception):
    """The caller wants no more results."""


def judge(
    submissions: Iterable[Submission],
    *,
    format: Format,
    problems: Path,
    workers: int | None = None,
    mode: Mode = "strict",
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Judgement]:
    """Judge `submissions` against the test data in `problems`; yields in their order.

    `workers` programs run at once (None: one per physical core). `on_progress(done, total)` is called
    as each is decided. Raises `ValueError` before anything runs if a problem or language is unknown, and
    `SandboxUnavailable` where programs cannot be isolated.
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
    return _in_order(waiting, _Judge(format, mode, where, workers or len(physical_cores())), on_progress)


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
        rules.load(problem_id, where[problem_id])
    return where


def physical_cores() -> list[int]:
    """One CPU of each physical core this process may use."""
    seen: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        seen.setdefault(path.read_text() if path.exists() else str(cpu), cpu)
    return list(seen.values())


def _in_order(
    waiting: Sequence[Submission], worker: _Judge, on_progress: Callable[[int, int], None] | None
) -> Iterator[Judgement]:
    ready: dict[int, Judgement] = {}
    pool = ThreadPoolExecutor(worker.workers, thread_name_prefix="judge")
    try:
        window = _WINDOW * worker.workers
        order = sorted(range(len(waiting)), key=lambda i: (i // window, -worker.expected(waiting[i])))
        running = {pool.submit(worker.judge, waiting[i]): i for i in order}
        turn = 0
        for done, future in enumerate(as_completed(running), start=1):
            ready[running[future]] = future.result()
            if on_progress:
                on_progress(done, len(waiting))
            while turn in ready:
                yield ready.pop(turn)
                turn += 1
    finally:
        worker.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _Judge:
    """What the worker threads share."""

    def __init__(self, format: Format, mode: Mode, where: dict[str, Place], workers: int) -> None:
        self.format, self.mode, self.where, self.workers = format, mode, where, workers
        self.rules = FORMATS[format]
        self.stop = threading.Event()
        self.machine = _Machine()
        self.cores: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        # A judge that fills the machine gives each program a core; a smaller one may have company, whose
        # choice of cores it cannot know, and leaves that to the kernel.
        cores = physical_cores()
        for number in range(workers):
            self.cores.put(cores[number] if workers == len(cores) else None)

    def expected(self, submission: Submission) -> int:
        """A stand-in for how long judging takes: the size of the test data."""
        place = self.where.get(submission.problem_id)
        return place.size if place else 0

    def judge(self, submission: Submission) -> Judgement:
        core = self.cores.get()
        try:
            return self._judge(submission, core)
        finally:
            self.cores.put(core)

    def _judge(self, submission: Submission, core: int | None) -> Judgement:
        if submission.problem_id not in self.where:
            return self._result(submission, "SKIP", detail="the official judge skips this problem")
        code = submission.code
        if code is None:
            code = extract_code(self.format, submission.language, submission.response or "", self.mode)
        if code is None:
            return self._result(submission, "NO_CODE", detail="no code found in the response")
        problem = self.rules.load(submission.problem_id, self.where[submission.problem_id])
        with contextlib.ExitStack() as stack:
            try:
                bench = self._bench(stack, submission, code, problem, core)
            except CompileError as error:
                return self._result(submission, "CE", detail=str(error)[:_DETAIL_LIMIT])
            except SandboxError as error:
                return self._result(submission, "IE", detail=str(error))
            return self._all_cases(submission, bench)

    def _bench(
        self,
        stack: contextlib.ExitStack,
        submission: Submission,
        code: str,
        problem: JudgeProblem,
        core: int | None,
    ) -> Bench:
        def built(language: Language, source: Source) -> Program:
            program = _patiently(lambda: build(language, source))
            stack.callback(program.close)
            return program

        source = self.rules.source(problem, submission.language, code, self.mode)
        sources = {id(c.program): c.program for c in _checkers(problem) if c.program}
        with self.machine.shared():
            program = built(self.rules.languages[submission.language], source)
            try:
                checkers = {key: built(HELPER, source) for key, source in sources.items()}
                interactor = built(HELPER, problem.interactor) if problem.interactor else None
            except CompileError as error:
                raise SandboxError(
                    f"the problem's checker or interactor does not compile: {error}"
                ) from error
        return Bench(self.format, self.mode, problem, program, checkers, interactor, core)

    def _all_cases(self, submission: Submission, bench: Bench) -> Judgement:
        done: list[CaseResult] = []
        for case in bench.problem.cases:
            if self.stop.is_set():
                raise _Stopped
            goes_on = verdicts.goes_on(self.format, bench.problem, case, done)
            if goes_on is None:
                break
            done.append(self._case(bench, case) if goes_on else CaseResult(case.name, "SKIP", "SC"))
            if done[-1].verdict == "IE":
                break
        verdict, official = verdicts.combine(self.format, done)
        failed = next((test for test in done if test.verdict not in ("AC", "SKIP")), None)
        detail = f"test {failed.name}: {failed.official} {failed.note}".strip() if failed else ""
        if self.mode == "fixed" and verdict == "WA" and submission.problem_id in self.rules.errata:
            verdict, detail = (
                "SKIP",
                f"the benchmark's errata: its tests cannot tell a wrong answer; {detail}",
            )
        return Judgement(submission.sample_id, submission.problem_id, verdict, official, tuple(done), detail)

    def _case(self, bench: Bench, case: Case) -> CaseResult:
        try:
            with self.machine.shared():
                result, narrowly = _patiently(lambda: run_case(bench, case))
            if narrowly:
                with self.machine.alone():
                    result, _ = _patiently(lambda: run_case(bench, case))
        except (SandboxError, BrokenTestData) as error:
            return CaseResult(case.name, *verdicts.word(self.format, "IE"), note=str(error))
        return result

    def _result(self, submission: Submission, verdict: Verdict, detail: str) -> Judgement:
        _, official = verdicts.word(self.format, verdict)
        return Judgement(submission.sample_id, submission.problem_id, verdict, official, (), detail)


def _checkers(problem: JudgeProblem) -> Iterator[Checker]:
    yield problem.checker
    yield from (case.checker for case in problem.cases if case.checker)


class _Machine:
    """Many share the machine, or one has it alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._alone = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: self._sharing == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


def _patiently(attempt: Callable[[], T]) -> T:
    """Try again when the sandbox is at fault; its last failure is raised."""
    for pause_s in _PAUSES_S:
        try:
            return attempt()
        except SandboxError:
            time.sleep(pause_s)
    return attempt()
