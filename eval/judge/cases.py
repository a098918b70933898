"""Runs one test of one submission in the sandbox and says what came of it.

Not covered: which tests run (`trial`) and retries (`workers`). Raises `SandboxError` when the sandbox
is at fault.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from eval.judge import verdicts
from eval.judge.checkers import BUILT_IN, Unfit
from eval.judge.compile import Program
from eval.judge.extract import Format
from eval.judge.records import (
    ANSWER,
    INPUT,
    MIB,
    OUTPUT,
    Case,
    CaseResult,
    Helper,
    JudgeProblem,
    Mode,
    Stream,
)
from eval.judge.verdicts import Word
from eval.sandbox import Limits, Outcome, Sealed, inside, run, scratch, start
from eval.sandbox.files import read_all

_NOTE_LIMIT = 500
_FOLDER = {f"/tmp/{name}": inside(number) for number, name in enumerate((INPUT, OUTPUT, ANSWER))}
"""What a checker or interactor finds where it runs: links to the descriptors it is shown."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What stays the same over a program's tests. `checkers` are the built ones, by `id` of the `Helper`.

    One run serves all `modes`: they read the same outcome differently. `together`: it serves all tests, too.
    `unconfined` leaves out what only the official judge refuses.
    """

    format: Format
    modes: tuple[Mode, ...]
    problem: JudgeProblem
    program: Program
    checkers: Mapping[int, Program]
    interactor: Program | None
    together: bool = False
    unconfined: bool = False


Words: TypeAlias = Mapping[Mode, Word]


def run_case(bench: Bench, case: Case) -> tuple[dict[Mode, CaseResult], bool]:
    """The result in each mode, and whether it was a time limit missed so narrowly that a quieter machine
    could help. What dies of the official judge's confinement is run without it for mode `fixed`."""
    results, narrowly = _run_once(bench, case)
    if "fixed" in results and verdicts.confined(bench.format) and results["fixed"].verdict == "RTE":
        free, again = _run_once(replace(bench, modes=("fixed",), unconfined=True), case)
        return {**results, **free}, narrowly or again
    return results, narrowly


def _run_once(bench: Bench, case: Case) -> tuple[dict[Mode, CaseResult], bool]:
    limits = verdicts.limits(bench.format, bench.problem, case, bench.modes)
    if verdicts.confined(bench.format) and not bench.unconfined:
        limits = verdicts.confine(limits, bench.program.headroom)
    with contextlib.ExitStack() as stack:
        given, err = stack.enter_context(_sealed(case.input)), stack.enter_context(_scratch())
        if bench.interactor:
            outcome, words, note = _talk(bench, bench.interactor, case, limits, given, err)
        else:
            out = stack.enter_context(_scratch())
            called = (stack.enter_context(_scratch()),) if bench.problem.functional else ()
            outcome = run(
                (*bench.program.argv, *map(inside, range(len(called)))), limits,
                files=bench.program.files, stdin=given, stdout=out, stderr=err, shown=called,
                links=bench.program.links, environment=bench.program.environment,
                interpreter=bench.program.interpreter,
            )  # fmt: skip
            words, note = _faults(bench, outcome, case), _said(err)
            if len(words) < len(bench.modes):
                passed, note = _check(bench, case, outcome, given, *called or (out,))
                words = {**passed, **words}
    results = {
        mode: CaseResult(
            case.name, *words[mode], round(outcome.cpu_s, 4), round(outcome.wall_s, 4),
            round(outcome.memory / MIB, 2), note,
        )
        for mode in bench.modes
    }  # fmt: skip
    return results, any(
        words[mode][0] == "TLE" and verdicts.near_limit(bench.format, outcome, case, mode)
        for mode in bench.modes
    )


def _faults(bench: Bench, outcome: Outcome, case: Case) -> dict[Mode, Word]:
    """In which modes the run alone decides, and how."""
    faults = ((mode, verdicts.fault(bench.format, outcome, case, mode)) for mode in bench.modes)
    return {mode: word for mode, word in faults if word}


def _check(bench: Bench, case: Case, ended: Outcome, given: Sealed, out: int) -> tuple[Words, str]:
    """Compare what stands in `out`, the standard output or the result of a call, with the answer."""
    checker = case.checker or bench.problem.checker
    if checker.program is not None:
        with _sealed(case.answer) as answer:
            return _run_checker(bench, checker.program, case, ended, given, out, answer)
    wanted = case.answer.read() if case.answer else b""
    try:
        passed = BUILT_IN[checker.name](read_all(out), wanted, checker.options)
    except Unfit as error:
        return dict.fromkeys(bench.modes, verdicts.word(bench.format, "IE")), str(error)
    return dict.fromkeys(bench.modes, verdicts.word(bench.format, "AC" if passed else "WA")), ""


def _run_checker(
    bench: Bench, checker: Helper, case: Case, ended: Outcome, given: Sealed, out: int, answer: Sealed
) -> tuple[Words, str]:
    program = bench.checkers[id(checker)]
    sizes = (given.size, os.fstat(out).st_size, answer.size, *(file.size for file in program.files.values()))
    if not verdicts.fits(bench.format, sum(sizes)):
        return dict.fromkeys(bench.modes, verdicts.word(bench.format, "WA")), "too much for its checker"
    shown = (given.reader(), _readable(bench, out), answer.reader())
    try:
        with _scratch() as said, _scratch() as err:
            outcome = run(
                (*program.argv, *_told(bench, checker, case, ended)), verdicts.checker_limits(bench.format),
                files=program.files, stdin=None, stdout=said, stderr=err, shown=shown, links=_FOLDER,
            )  # fmt: skip
            return _checked(bench, checker, case, outcome, err), _note(outcome, err)
    finally:
        for fd in shown:
            os.close(fd)


def _readable(bench: Bench, out: int) -> int:
    """A descriptor of what stands in `out`, as a checker is given it."""
    if verdicts.sends_text(bench.format) and not (output := read_all(out)).isascii():
        with Sealed(verdicts.as_text(output)) as text:
            return text.reader()
    return os.open(f"/proc/self/fd/{out}", os.O_RDONLY | os.O_CLOEXEC)


def _told(bench: Bench, helper: Helper, case: Case, ended: Outcome | None = None) -> tuple[str, ...]:
    """A checker's or interactor's arguments."""
    if Helper.FACTS not in helper.arguments:
        return helper.arguments
    facts = json.dumps(
        {
            "problem": bench.problem.problem_id,
            "position": next(at for at, one in enumerate(bench.problem.cases) if one is case),
            "points": 1 if case.points is None else case.points,
            "batch": case.batch or 0,
            "binary": case.input is not None and not case.input.text,
            "language": "CPP17" if bench.program.interpreter is None else "PYPY3",
            "seconds": ended.cpu_s if ended else 0,
        }
    )
    return tuple(facts if argument == Helper.FACTS else argument for argument in helper.arguments)


def _talk(
    bench: Bench, interactor: Program, case: Case, limits: Limits, given: Sealed, err: int
) -> tuple[Outcome, Words, str]:
    """Submission and interactor, each in its own sandbox, joined by two pipes. DMOJ keeps them open when a
    side ends, so that what nobody reads waits in them; but what a submission writes to a program that has
    ended fails there, which C++ does not notice, as SIGPIPE is ignored, and Python does."""
    helper = cast(Helper, bench.problem.interactor)
    from_judge, to_program = os.pipe()
    from_program, to_judge = os.pipe()
    read, written = (from_judge, from_program), (to_program, to_judge)
    with (
        _sealed(case.answer) as answer, _scratch() as report, _scratch() as said,
        contextlib.ExitStack() as kept,
    ):  # fmt: skip
        shown = (given.reader(), os.dup(report), answer.reader())
        judge = None
        try:
            judge = start(
                (*interactor.argv, *_told(bench, helper, case)),
                verdicts.interactor_limits(bench.format, case),
                files=interactor.files, stdin=from_program, stdout=to_program, stderr=said, shown=shown,
                links=_FOLDER, environment=interactor.environment,
            )  # fmt: skip
            program = start(
                bench.program.argv,
                limits,
                files=bench.program.files,
                stdin=from_judge,
                stdout=to_judge,
                stderr=err,
                links=bench.program.links,
                environment=bench.program.environment,
                interpreter=bench.program.interpreter,
            )
        except BaseException:
            if judge is not None:
                judge.abandon()
            raise
        finally:
            for fd in (*written, *shown):
                os.close(fd)
            breaks = bench.program.interpreter is not None and Helper.FACTS not in helper.arguments
            for fd in read:
                if bench.format == "dmoj" and not (fd == from_program and breaks):
                    kept.callback(os.close, fd)
                else:
                    os.close(fd)
        try:
            outcome = program.wait()
        except BaseException:
            judge.abandon()
            raise
        spoken = judge.wait()
        outcome = replace(outcome, queued_s=outcome.queued_s + spoken.queued_s)
        mine, theirs = _faults(bench, outcome, case), _checked(bench, helper, case, spoken, said)
        if "strict" in bench.modes and bench.format == "lightcp":
            theirs["strict"] = verdicts.spoken(spoken, case)
        unread = verdicts.unread(bench.format)
        if "strict" in bench.modes and unread is not None and os.fstat(err).st_size > unread:
            mine["strict"] = verdicts.word(bench.format, "TLE")
        words = {
            mode: verdicts.interaction(bench.format, mine.get(mode), theirs[mode], mode)
            for mode in bench.modes
        }
        return outcome, words, _note(spoken, said)


def _checked(bench: Bench, helper: Helper, case: Case, outcome: Outcome, err: int) -> dict[Mode, Word]:
    said = read_all(err, _NOTE_LIMIT)
    return {mode: verdicts.checked(bench.format, helper, case, outcome, said, mode) for mode in bench.modes}


def _note(outcome: Outcome, err: int) -> str:
    ended = "" if outcome.ended == "exit" else f"over its {outcome.ended} limit; "
    return ended + _said(err)


def _said(fd: int) -> str:
    return read_all(fd, _NOTE_LIMIT).decode(errors="replace").strip()


@contextlib.contextmanager
def _scratch() -> Iterator[int]:
    fd = scratch()
    try:
        yield fd
    finally:
        os.close(fd)


def _sealed(stream: Stream | None) -> Sealed:
    return Sealed(b"" if stream is None else stream.chunks())
