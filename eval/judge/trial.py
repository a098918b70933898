"""One program against its problem's tests, which several workers may run at once.

Tests are started in the official order and may end in any. A test is started unless what is known by then
rules it out, so some may turn out to have been in vain: `course` keeps only those that the official judge
would have run, and the verdict is the same for any number of workers.

Not covered: running a test (`cases`), and who does (`workers`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from eval.judge import verdicts
from eval.judge.extract import Format
from eval.judge.records import Case, CaseResult, JudgeProblem, Mode


class Trial:
    """Which tests are to be run, in each of `modes`, and what came of them. Safe to share between threads."""

    def __init__(self, format: Format, problem: JudgeProblem, modes: Sequence[Mode]) -> None:
        self._format, self._problem, self._modes = format, problem, tuple(modes)
        self._lock = threading.Lock()
        self._results: dict[int, Mapping[Mode, CaseResult]] = {}
        self._broken: Mapping[Mode, CaseResult] = {}
        self._next, self._running = 0, 0
        self._failed: dict[Mode, list[Case]] = {mode: [] for mode in modes}
        self._skipped: dict[Mode, list[Case]] = {mode: [] for mode in modes}

    @property
    def left(self) -> int:
        """How many tests are not started; some of them may never be."""
        return len(self._problem.cases) - self._next

    def take(self) -> int | None:
        """Start a test: its index; None where there is none to start."""
        with self._lock:
            if not self.left:
                return None
            index = self._next
            self._next += 1
            self._running += 1
            self._advance()
            return index

    def put(self, index: int, result: Mapping[Mode, CaseResult]) -> bool:
        """What came of a test that was taken. True, once, when this was the last."""
        with self._lock:
            self._results[index] = result
            self._running -= 1
            for mode in self._modes:
                if result[mode].verdict != "AC":
                    self._failed[mode].append(self._problem.cases[index])
            if any(one.verdict == "IE" for one in result.values()):
                self._broken, self._next = result, len(self._problem.cases)
            self._advance()
            return not self._running and not self.left

    def _advance(self) -> None:
        """Move on to the next test that any mode still wants."""
        while self.left:
            case = self._problem.cases[self._next]
            wanted = {mode: self._goes_on(case, mode) for mode in self._modes}
            if True in wanted.values():
                return
            for mode in self._modes:
                if wanted[mode] is False:
                    self._skipped[mode].append(case)
            self._next = self._next + 1 if False in wanted.values() else len(self._problem.cases)

    def _goes_on(self, case: Case, mode: Mode) -> bool | None:
        return verdicts.goes_on(self._format, case, self._failed[mode], self._skipped[mode])

    def course(self, mode: Mode) -> list[CaseResult]:
        """The tests as the official judge goes through them, one after the other."""
        done: list[CaseResult] = []
        failed: list[Case] = []
        skipped: list[Case] = []
        for index, case in enumerate(self._problem.cases):
            goes_on = verdicts.goes_on(self._format, case, failed, skipped)
            if goes_on is None:
                break
            if not goes_on:
                done.append(CaseResult(case.name, "SKIP", "SC"))
                skipped.append(case)
                continue
            # Nothing was started after an IE, even if what it stopped at did not count in the end.
            done.append(self._results.get(index, self._broken)[mode])
            if done[-1].verdict == "IE":
                break
            if done[-1].verdict != "AC":
                failed.append(case)
        return done
