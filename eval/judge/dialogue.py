"""Judges a program that takes all tests in one process, one after the other, as LiveCodeBench does.

The next input is sent when the last answer was right, and answers are compared here: no expected output ever
is in a process that the submission controls. Not covered: what runs on the other side
(`eval.judge.harness.official`), and retries (`workers`). Raises `SandboxError` when the sandbox is at fault,
and `CompileError` for a program that is none.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from eval.judge import verdicts
from eval.judge.cases import Bench
from eval.judge.checkers import BUILT_IN
from eval.judge.extract import Format
from eval.judge.harness.official import LENGTH, REPLY
from eval.judge.records import MIB, Case, CaseResult, CompileError, Verdict
from eval.judge.values import same_value
from eval.sandbox import Limits, Outcome, Run, start

_LONGEST_REPLY = 64 * MIB
_LONGEST_NOTE = 500
_PATIENCE = 5.0
"""For one reply, in multiples of what a test may take: only what no alarm interrupts takes longer, or what
gets less than a fifth of a CPU, which is when the sandbox gives up, too."""

_GRACE_S = 1.0
"""For a program to end that was told to."""
_NAP_S = 0.2
"""How often it is asked whether anybody still wants the results."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came of a test. `kind`: T (text that was printed), V (a described value), F (failed), L (late), X
    (not Python), O (too much), E (the program ended), S (silence). Seconds on the test's clock, and of CPU
    time, as that process says, but no more than passed here."""

    kind: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    data: bytes = b""


def converse(bench: Bench, go_on: Callable[[], None]) -> tuple[list[CaseResult], bool]:
    """The results up to the first failure, and whether a time limit was missed so narrowly that a quieter
    machine could help. `go_on` is called all along, and ends everything by raising what is then raised."""
    replies: list[_Reply] = []
    passed: list[bool] = []
    run, talk = _start(bench, go_on)
    try:
        for case in bench.problem.cases:
            replies.append(talk.ask(case))
            passed.append(_passes(bench, case, replies[-1]))
            if not passed[-1]:
                break
    except BaseException:
        run.abandon()
        raise
    finally:
        talk.hang_up()
    outcome = run.end(_GRACE_S)
    if replies[-1].kind == "X":
        raise CompileError(replies[-1].data.decode(errors="replace"))
    results = [
        _result(bench.format, *one, outcome)
        for one in zip(bench.problem.cases, replies, passed, strict=False)
    ]
    last, limit_s = replies[-1], bench.problem.cases[0].time_s
    return results, last.kind == "L" and last.wall_s < verdicts.allowed_s(limit_s)


def _passes(bench: Bench, case: Case, reply: _Reply) -> bool:
    called = bench.problem.functional is not None
    if reply.kind != ("V" if called else "T"):
        return False
    answer = case.answer.read() if case.answer else b""
    check = same_value if called else BUILT_IN[bench.problem.checker.name]
    return check(reply.data, answer, {})


def _result(format: Format, case: Case, reply: _Reply, passed: bool, outcome: Outcome | None) -> CaseResult:
    verdict: Verdict = "AC" if passed else _verdict(reply, outcome)
    note = reply.data[:_LONGEST_NOTE].decode(errors="replace") if reply.kind == "F" else ""
    peak = round(outcome.memory / MIB, 2) if outcome else 0.0
    seconds = round(reply.cpu_s, 4), round(reply.wall_s, 4)
    return CaseResult(case.name, *verdicts.word(format, verdict), *seconds, peak, note)


def _verdict(reply: _Reply, outcome: Outcome | None) -> Verdict:
    """Of a test that did not pass."""
    if reply.kind == "O":
        return "OLE"
    if reply.kind in ("L", "S"):
        return "TLE"
    if reply.kind == "E" and outcome is not None:
        ended: dict[str, Verdict] = {"memory": "MLE", "cpu": "TLE", "wall": "TLE"}
        return ended.get(outcome.ended, "RTE")
    return "RTE" if reply.kind in ("E", "F") else "WA"


class _Talk:
    """The two pipes to a program: its input goes out, what came of it comes in."""

    def __init__(self, out: int, back: int, go_on: Callable[[], None]) -> None:
        self._out, self._back, self._go_on, self._patience_s = out, back, go_on, 0.0
        os.set_blocking(out, False)

    def ask(self, case: Case) -> _Reply:
        start = time.monotonic()
        try:
            self._patience_s = _PATIENCE * case.time_s
            with contextlib.suppress(BrokenPipeError):  # it has ended, and may have said why
                self._send(case)
            head = self._read(REPLY.size)
            if len(head) < REPLY.size:
                return _Reply("E")
            kind, wall_s, cpu_s, size = REPLY.unpack(head)
            if size > _LONGEST_REPLY:
                return _Reply("O")
            data = self._read(size)
        except TimeoutError:
            return _Reply("S")
        passed_s = time.monotonic() - start
        wall_s, cpu_s = (said if 0 <= said <= passed_s else passed_s for said in (wall_s, cpu_s))
        return _Reply(kind.decode(errors="replace") if len(data) == size else "E", wall_s, cpu_s, data)

    def hang_up(self) -> None:
        for fd in (self._out, self._back):
            os.close(fd)

    def _send(self, case: Case) -> None:
        pieces = list(case.input.chunks()) if case.input else []
        for piece in (LENGTH.pack(sum(map(len, pieces))), *pieces):
            view = memoryview(piece)
            while view:
                self._await(self._out, select.POLLOUT)
                view = view[os.write(self._out, view) :]

    def _read(self, size: int) -> bytes:
        """So many bytes, or fewer where there are no more."""
        parts = []
        while size:
            self._await(self._back, select.POLLIN)
            if not (part := os.read(self._back, min(size, MIB))):
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _await(self, fd: int, what: int) -> None:
        """Until `fd` is ready. Raises `TimeoutError` where nothing moves for too long."""
        poll, end = select.poll(), time.monotonic() + self._patience_s
        poll.register(fd, what)
        while not poll.poll(_NAP_S * 1000):
            self._go_on()
            if time.monotonic() > end:
                raise TimeoutError


def _start(bench: Bench, go_on: Callable[[], None]) -> tuple[Run, _Talk]:
    theirs, out = os.pipe()
    back, theirs_too = os.pipe()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    talk = _Talk(out, back, go_on)
    try:
        run = start(
            bench.program.argv, _limits(bench), files=bench.program.files, stdin=null, stdout=null,
            stderr=null, shown=(theirs, theirs_too), interpreter=bench.program.interpreter,
        )  # fmt: skip
    except BaseException:
        talk.hang_up()
        raise
    finally:
        for fd in (theirs, theirs_too, null):
            os.close(fd)
    return run, talk


def _limits(bench: Bench) -> Limits:
    """Officially a second more than its limit for every test, and five, and nothing else."""
    first = bench.problem.cases[0]
    all_s = (first.time_s + 1) * len(bench.problem.cases) + 5
    return Limits(
        cpu_s=all_s, wall_s=all_s, memory=first.memory, stdout=first.output, stack=8 * MIB, processes=256,
        tmp=64 * MIB, shared=verdicts.SHARED,
    )  # fmt: skip
