"""Shares the work of judging out to threads.

Each worker takes submissions, within a window the longest first, builds the program and runs its tests, on a
core of its own where the workers fill the machine. One that finds no submission left helps others with
their tests, so that a slow problem at the end keeps all busy. A time limit missed by little is tried
again with nobody else running; a failure of the sandbox is tried again, then is IE, and never a wrong answer.

Not covered: which tests count (`trial`) and what they mean (`verdicts`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from eval.judge import verdicts
from eval.judge.cases import Bench, run_case
from eval.judge.compile import HELPERS, Language, Program, build
from eval.judge.dialogue import converse
from eval.judge.extract import Format, extract_code
from eval.judge.formats import FORMATS
from eval.judge.loaded import Loaded
from eval.judge.records import (
    BrokenTestData,
    CaseResult,
    Checker,
    CompileError,
    Helper,
    Judgement,
    JudgeProblem,
    Mode,
    Place,
    Source,
    Submission,
    Verdict,
)
from eval.judge.trial import Trial
from eval.sandbox import SandboxError, hang_up

_OURS = (SandboxError, OSError)
"""Failures of the sandbox, or of a machine short of descriptors or memory: never the program's."""
_PAUSES_S = (0.1, 1.0)
"""Before each further attempt when the sandbox fails: trouble of the machine is often brief."""
_DETAIL_LIMIT = 2000
_HANG_UP_S = 0.05
T = TypeVar("T")


class _Stopped(Exception):
    """The caller wants no more results."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A submission with the judgements it has so far."""

    index: int
    submission: Submission
    judged: dict[Mode, Judgement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """A program whose tests are being run; `close` what it holds when they are through."""

    job: _Job
    bench: Bench
    trial: Trial
    close: contextlib.ExitStack


class Workers:
    """`count` threads at work on `submissions` from entering to leaving the context.

    So many as `window` are taken at a time, as they are needed, those with most test data begun first;
    `refused` tells why one cannot be judged, or ""."""

    def __init__(
        self,
        format: Format,
        modes: tuple[Mode, ...],
        where: dict[str, Place],
        submissions: Iterable[Submission],
        count: int,
        *,
        window: int,
        refused: Callable[[Submission], str],
        commit: str | None = None,
    ) -> None:
        self.format, self.modes, self.where = format, modes, where
        self.rules = FORMATS[format].following(commit)
        # A worker begins with one problem at a time.
        self._problems = Loaded(lambda name: self.rules.load(name, where[name]), kept=count)
        self.machine = _Machine()
        self.results: queue.SimpleQueue[tuple[int, Judgement] | BaseException | None] = queue.SimpleQueue()
        self._coming, self._window = enumerate(submissions), window
        self._waiting: deque[_Job] = deque()
        self._refused = refused
        self._open: list[_Open] = []
        self._running: list[Future[None]] = []
        self._idents: set[int] = set()
        self._beginning = self._at_work = count
        self._changed = threading.Condition()
        self._stop = threading.Event()
        # Workers that fill the machine get a core each, sandbox and all: a run is a relay of processes, and
        # none is then woken on another core. Fewer may have company, whose choice of cores is unknown.
        cores: list[int] | list[None] = physical_cores()
        self._cores = cores if len(cores) == count else [None] * count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="judge")

    def _expected(self, submission: Submission) -> int:
        """A stand-in for how long judging takes: the size of the test data."""
        place = self.where.get(submission.problem_id)
        return place.size if place else 0

    def __enter__(self) -> Self:
        self._running = [self._threads.submit(self._work, core) for core in self._cores]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        while kind is not None and wait(self._running, timeout=_HANG_UP_S).not_done:
            hang_up(self._idents)  # nobody waits for what they run
        self._threads.shutdown(wait=True)
        for one in self._open:
            one.close.close()

    def next_result(self) -> tuple[int, Judgement] | None:
        """The index of a submission and its judgement, as soon as there is one; None after the last."""
        found = self.results.get()
        if isinstance(found, BaseException):
            raise found
        return found

    # What a worker does

    def _work(self, core: int | None) -> None:
        if core is not None:
            with contextlib.suppress(OSError):  # the CPU went offline: run anywhere
                os.sched_setaffinity(0, {core})
        self._idents.add(threading.get_ident())
        try:
            try:
                while (job := self._next_job()) is not None:
                    self._judge(job)
            finally:
                with self._changed:
                    self._beginning -= 1
                    self._changed.notify_all()
            while (one := self._to_help()) is not None:
                self._next_case(one)
        except _Stopped:
            return
        except BaseException as error:
            self.results.put(error)
        with self._changed:
            self._at_work -= 1
            if not self._at_work:
                self.results.put(None)

    def _next_job(self) -> _Job | None:
        with self._changed:
            if self._stop.is_set():
                return None
            if not self._waiting:
                taken = itertools.islice(self._coming, self._window)
                jobs = [_Job(index, submission) for index, submission in taken]
                self._waiting.extend(sorted(jobs, key=lambda job: -self._expected(job.submission)))
            return self._waiting.popleft() if self._waiting else None

    def _to_help(self) -> _Open | None:
        """The program with most tests left; None when no more can come."""
        with self._changed:
            while not self._stop.is_set():
                candidates = [one for one in self._open if one.trial.left]
                if candidates:
                    return max(candidates, key=lambda one: one.trial.left)
                if not self._beginning:
                    return None
                self._changed.wait()
        return None

    def _judge(self, job: _Job) -> None:
        for one in self._begin(job):
            if one.bench.together:
                self._converse(one)
                continue
            with self._changed:
                self._open.append(one)
                self._changed.notify_all()
            while self._next_case(one):
                pass

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _next_case(self, one: _Open) -> bool:
        self._go_on()
        if (index := one.trial.take()) is None:
            return False
        if one.trial.put(index, self._run(one.bench, index)):
            with self._changed:
                self._open.remove(one)
            one.close.close()
            for mode in one.bench.modes:
                self._decide(one.job, mode, self._verdict(one.job, mode, one.trial.course(mode)))
        return True

    def _converse(self, one: _Open) -> None:
        """Run the tests of a program that takes all of them in one process."""
        with one.close:
            try:
                done = self._measured(lambda: converse(one.bench, self._go_on))
            except CompileError as error:
                self._unrun(one.job, one.bench.modes, "CE", str(error)[:_DETAIL_LIMIT])
            except (*_OURS, BrokenTestData) as error:
                self._unrun(one.job, one.bench.modes, "IE", str(error))
            else:
                for mode in one.bench.modes:
                    self._decide(one.job, mode, self._verdict(one.job, mode, done))

    def _decide(self, job: _Job, mode: Mode, judgement: Judgement) -> None:
        with self._changed:
            job.judged[mode] = judgement
            if len(job.judged) < len(self.modes):
                return
        first = job.judged[self.modes[0]]
        if len(self.modes) > 1:
            first = replace(first, fixed=job.judged["fixed"])
        self.results.put((job.index, first))

    # One submission

    def _begin(self, job: _Job) -> Iterator[_Open]:
        """The programs to run for it, one after the other: one where the modes agree on what to run."""
        if why := self._refused(job.submission):
            self._unrun(job, self.modes, "IE", why)
            return
        if job.submission.problem_id not in self.where:
            self._unrun(job, self.modes, "SKIP", "the official judge skips this problem")
            return
        try:
            problem = self._patiently(lambda: self._problems[job.submission.problem_id])
        except _OURS as error:
            self._unrun(job, self.modes, "IE", f"the problem's tests cannot be loaded: {error}")
            return
        sources: list[tuple[Source, tuple[Mode, ...]]] = []
        for mode in self.modes:
            try:
                code = self._code(job.submission, mode)
                if code is None:
                    self._unrun(job, (mode,), "NO_CODE", "no code found in the response")
                    continue
                source = self.rules.source(problem, job.submission.language, code, mode)
            except (ValueError, RecursionError) as error:
                self._unrun(job, (mode,), "IE", f"no program can be made of the response: {error}")
                continue
            if sources and sources[-1][0] == source:
                sources[-1] = (source, (*sources[-1][1], mode))
            else:
                sources.append((source, (mode,)))
        for source, modes in sources:
            with contextlib.ExitStack() as stack:
                try:
                    bench = self._bench(stack, source, problem, modes)
                except CompileError as error:
                    self._unrun(job, modes, "CE", str(error)[:_DETAIL_LIMIT])
                except _OURS as error:
                    self._unrun(job, modes, "IE", str(error))
                else:
                    yield _Open(job, bench, Trial(self.format, problem, modes), stack.pop_all())

    def _code(self, submission: Submission, mode: Mode) -> str | None:
        if submission.code is not None:
            return submission.code
        return extract_code(self.format, submission.language, submission.response or "", mode)

    def _bench(
        self, stack: contextlib.ExitStack, source: Source, problem: JudgeProblem, modes: tuple[Mode, ...]
    ) -> Bench:
        def built(language: Language, source: Source, unbuffered: bool = False) -> Program:
            program = self._patiently(lambda: build(language, source, unbuffered))
            stack.callback(program.close)
            return program

        def helping(helper: Helper) -> Program:
            return built(HELPERS[helper.source.language], helper.source, helper.unbuffered)

        helpers = {id(c.program): c.program for c in _checkers(problem) if c.program}
        with self.machine.shared():
            program = built(self.rules.languages[source.language], source, problem.unbuffered)
            program = replace(program, links={f"/box/{a}": b for a, b in problem.links.items()})
            try:
                checkers = {key: helping(helper) for key, helper in helpers.items()}
                interactor = helping(problem.interactor) if problem.interactor else None
            except CompileError as error:
                raise SandboxError(
                    f"the problem's checker or interactor does not compile: {error}"
                ) from error
        return Bench(self.format, modes, problem, program, checkers, interactor, source.together)

    def _run(self, bench: Bench, index: int) -> dict[Mode, CaseResult]:
        case = bench.problem.cases[index]
        try:
            return self._measured(lambda: run_case(bench, case))
        except (*_OURS, BrokenTestData) as error:
            broken = CaseResult(case.name, *verdicts.word(self.format, "IE"), note=str(error))
            return dict.fromkeys(bench.modes, broken)

    def _measured(self, measure: Callable[[], tuple[T, bool]]) -> T:
        """The first of what `measure` returns, measured again without neighbours where the second is true."""
        with self.machine.shared():
            results, narrowly = self._patiently(measure)
        if narrowly:
            with self.machine.alone():
                results, _ = self._patiently(measure)
        return results

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Try again when the sandbox is at fault; its last failure is raised."""
        for pause_s in _PAUSES_S:
            try:
                return attempt()
            except _OURS:
                if self._stop.wait(pause_s):
                    raise _Stopped from None
        return attempt()

    def _verdict(self, job: _Job, mode: Mode, done: Sequence[CaseResult]) -> Judgement:
        submission = job.submission
        verdict, official = verdicts.combine(self.format, done)
        failed = next((test for test in done if test.verdict not in ("AC", "SKIP")), None)
        detail = f"test {failed.name}: {failed.official} {failed.note}".strip() if failed else ""
        if mode == "fixed" and verdict == "WA" and submission.problem_id in self.rules.errata:
            verdict = "SKIP"
            detail = f"the benchmark's errata: its tests cannot tell a wrong answer; {detail}"
        return Judgement(submission.sample_id, submission.problem_id, verdict, official, tuple(done), detail)

    def _unrun(self, job: _Job, modes: Sequence[Mode], verdict: Verdict, detail: str) -> None:
        _, official = verdicts.word(self.format, verdict)
        submission = job.submission
        for mode in modes:
            judgement = Judgement(submission.sample_id, submission.problem_id, verdict, official, (), detail)
            self._decide(job, mode, judgement)


def physical_cores() -> list[int]:
    """One CPU of each physical core this process may use."""
    seen: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        seen.setdefault(path.read_text() if path.exists() else str(cpu), cpu)
    return list(seen.values())


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
