"""From how programs ended to verdicts, by each benchmark's rule. Pure.

Each judge has its own words and its own precedence within a test. `fault` looks at the submission alone,
`checked` at the checker's or interactor's exit, `combine` at all tests. `strict` is the official rule;
`fixed` clears the submission of what was not its doing, and the author of an accepted verdict given by a
broken checker.

Not covered: points. A submission passes or it does not, as in all three benchmarks.
"""

from __future__ import annotations

import codecs
import math
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from eval.judge.extract import Format
from eval.judge.records import MIB, Case, CaseResult, Helper, JudgeProblem, Mode, Verdict
from eval.sandbox import Limits, Outcome

Word: TypeAlias = tuple[Verdict, str]
"""A verdict and the official judge's word for it."""

_CHECKER_LIMITS = Limits(cpu_s=10, wall_s=20, memory=256 * MIB, stdout=MIB, stderr=MIB, tmp=64 * MIB)
SHARED = 4 * MIB
"""Of /dev/shm for LiveCodeBench: officially locks of processes can be made, as pools of threads do."""
_POINTS = re.compile(rb"^points (\d+)$", re.MULTILINE)
_SHARE = re.compile(rb"^partial (\d+)/(\d+)$", re.MULTILINE)

WORDS: dict[Format, dict[Verdict, str]] = {
    "dmoj": {"AC": "AC", "WA": "WA", "TLE": "TLE", "MLE": "MLE", "OLE": "OLE", "RTE": "RTE", "CE": "CE",
             "NO_CODE": "CE", "IE": "IE", "SKIP": "Skip"},
    "lightcp": {"AC": "Accepted", "WA": "Wrong Answer", "TLE": "Time Limit Exceeded",
                "MLE": "Memory Limit Exceeded", "OLE": "Output Limit Exceeded", "RTE": "Signalled",
                "CE": "Judge Failed", "NO_CODE": "Judge Failed", "IE": "Internal Error",
                "SKIP": "Judge Failed"},
    "lcb": {"AC": "Passed", "WA": "Wrong Answer", "TLE": "Time Limit Exceeded", "MLE": "Runtime Error",
            "OLE": "Runtime Error", "RTE": "Runtime Error", "CE": "Compilation Error",
            "NO_CODE": "Compilation Error", "IE": "Runtime Error", "SKIP": "Wrong Answer"},
    "asserts": {"AC": "passed", "TLE": "timed out", "WA": "failed", "MLE": "failed", "OLE": "failed",
                "RTE": "failed", "CE": "failed", "NO_CODE": "failed", "IE": "failed", "SKIP": "failed"},
}  # fmt: skip
_INVALID_RETURN: Word = ("RTE", "IR")
_NONZERO, _DANGEROUS = "Nonzero Exit Status", "Dangerous Syscall"
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGTERM)
"""By whatever go-judge starts; `abort` ends a program nevertheless."""
_EACH_BYTE = "replace each byte"
_DISK = 128 * MIB
"""What files a program may have, and what a checker reads, beside the program itself."""
_TICK_S = 0.1
"""How often go-judge looks at the clock."""


def allowed_s(time_s: float) -> float:
    """How long a program with this time limit runs before it is stopped: a little over, as one that misses
    its limit by no more is run again without neighbours before that counts."""
    return 1.1 * time_s + 0.2


def word(format: Format, verdict: Verdict) -> Word:
    return verdict, WORDS[format][verdict]


def limits(format: Format, problem: JudgeProblem, case: Case, modes: Sequence[Mode]) -> Limits:
    """What the submission may use on this case: where modes differ, what the most generous of them grants."""
    cpu_s, wall_s = allowed_s(case.time_s), allowed_s(case.time_s * problem.wall_factor)
    if format == "lightcp":
        alone = Limits(
            cpu_s=cpu_s, wall_s=wall_s, memory=case.memory, stdout=case.output, stderr=64 * MIB,
            address_space=case.memory + 16384, stack=case.memory, processes=128, tmp=_DISK, inodes=4096,
            ignored=(*_IGNORED, signal.SIGXFSZ), weighed=True,
        )  # fmt: skip
        talking = replace(alone, stderr=MIB, address_space=None, ignored=_IGNORED, hold=True)
        return talking if problem.interactor else alone
    if format == "dmoj":
        # DMOJ's clock runs while the child runs or sleeps; with wall time less queueing that is this clock.
        wall_s = wall_s if "fixed" in modes or problem.interactor else cpu_s
        return Limits(cpu_s=cpu_s, wall_s=wall_s, memory=case.memory, stdout=case.output)
    return Limits(
        cpu_s=cpu_s, wall_s=wall_s, memory=case.memory, stdout=case.output, processes=256, tmp=64 * MIB,
        shared=SHARED if format == "lcb" else 0,
    )  # fmt: skip


def confined(format: Format) -> bool:
    """Whether the official judge refuses what programs may do elsewhere."""
    return format == "dmoj"


def confine(limits: Limits, headroom: int) -> Limits:
    """DMOJ's confinement: address space counts, used or not, beside `headroom` bytes for the language;
    sleeping, timers, other programs and waiting for children are refused."""
    return replace(limits, address_space=limits.memory + headroom, solo=True)


def checker_limits(format: Format) -> Limits:
    return _as_go_judge(_CHECKER_LIMITS) if format == "lightcp" else _CHECKER_LIMITS


def interactor_limits(format: Format, case: Case) -> Limits:
    """The interactor's share: four times the time, twice that in wall time, four times the memory."""
    limits = Limits(
        cpu_s=4 * case.time_s, wall_s=8 * case.time_s, memory=max(4 * case.memory, 256 * MIB),
        stdout=case.output, stderr=MIB, tmp=64 * MIB,
    )  # fmt: skip
    return replace(_as_go_judge(limits), hold=True) if format == "lightcp" else limits


def _as_go_judge(limits: Limits) -> Limits:
    return replace(limits, tmp=_DISK, inodes=4096, ignored=_IGNORED)


def time_used(format: Format, outcome: Outcome, mode: Mode) -> float:
    """Seconds on the official clock. DMOJ's and LiveCodeBench's is the wall, here less waiting for a CPU;
    what an interactor takes to answer counts, too."""
    if format != "lightcp" and mode == "strict":
        return max(outcome.cpu_s, outcome.wall_s - outcome.queued_s)
    return outcome.cpu_s


def _overslept(format: Format, outcome: Outcome, time_s: float) -> bool:
    """Whether LightCPVerifier's wall limit, twice the CPU's, was over when go-judge looked. Others stop a
    program by it, and do not ask afterwards."""
    return format == "lightcp" and outcome.wall_s - outcome.queued_s >= _TICK_S * math.ceil(
        round(2 * time_s / _TICK_S, 6)
    )


def near_limit(format: Format, outcome: Outcome, case: Case, mode: Mode) -> bool:
    """Whether a second run without neighbours could still be in time."""
    used = time_used(format, outcome, mode)
    overslept = outcome.ended == "exit" and _overslept(format, outcome, case.time_s)
    return (case.time_s < used or overslept) and used <= allowed_s(case.time_s)


def fault(format: Format, outcome: Outcome, case: Case, mode: Mode) -> Word | None:
    """What was wrong with the run itself; None: the output decides."""
    late = outcome.ended in ("cpu", "wall") or time_used(format, outcome, mode) > case.time_s
    late = late or _overslept(format, outcome, case.time_s)
    memory = outcome.memory if format == "lightcp" else outcome.main_memory
    fat = outcome.ended == "memory" or memory > case.memory
    if format == "lightcp" and fat:
        return word(format, "MLE")
    if late:
        return word(format, "TLE")
    if fat:
        return word(format, "MLE")
    if outcome.ended == "output" or (format == "lightcp" and outcome.signal == signal.SIGXFSZ):
        return word(format, "OLE")
    if outcome.signal is not None:
        dangerous = format == "lightcp" and outcome.signal == signal.SIGSYS
        return ("RTE", _DANGEROUS) if dangerous else word(format, "RTE")
    if outcome.exit_code:
        return {"dmoj": _INVALID_RETURN, "lightcp": ("RTE", _NONZERO), "lcb": word("lcb", "RTE"),
                "asserts": word("asserts", "RTE")}[format]  # fmt: skip
    return None


def checked(format: Format, helper: Helper, case: Case, outcome: Outcome, said: bytes, mode: Mode) -> Word:
    """A checker's or interactor's word, from its exit and, for points, from what it said: testlib's exits are
    0 ok, 1 wa, 2 pe, 3 fail, 7 points. In DMOJ any share of a test's points passes, and more is a fault."""
    code = outcome.exit_code if outcome.ended == "exit" else None
    if code == 0 or (format == "dmoj" and code == 7 and _payable(helper, case, said)):
        return word(format, "AC")
    wrong = (1,) if helper.exits == "plain" else (1, 2) if format == "dmoj" else (1, 2, 7)
    return word(format, "IE" if code not in wrong and (format == "dmoj" or mode == "fixed") else "WA")


def _payable(helper: Helper, case: Case, said: bytes) -> bool:
    if helper.exits == "plain":
        return False
    if helper.exits == "coci":
        share = _SHARE.search(said)
        return share is not None and 0 < float(share[2]) >= float(share[1])
    points = _POINTS.search(said)
    return points is not None and float(points[1]) <= (1 if case.points is None else case.points)


def sends_text(format: Format) -> bool:
    """Whether a checker is given the output `as_text`."""
    return format == "lightcp"


def as_text(output: bytes) -> bytes:
    """An output as go-judge sends it: each byte that is no UTF-8 has become U+FFFD."""
    return output.decode(errors=_EACH_BYTE).encode()


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_EACH_BYTE, _each_byte)


def fits(format: Format, size: int) -> bool:
    """Whether a checker and what it reads, so many bytes, fit where it runs; if not, the answer is wrong."""
    return format != "lightcp" or size <= _DISK


def unread(format: Format) -> int | None:
    """How many bytes of standard error an interactive submission may write: in DMOJ nobody reads them, so
    that one that writes more than a pipe holds waits for ever. None: as many as its limits allow."""
    return 65536 if format == "dmoj" else None


def spoken(interactor: Outcome, case: Case) -> Word:
    """LightCPVerifier's word for an interactor that does not accept is how that one ended. It is a wrong
    answer all the same."""
    share = replace(case, time_s=4 * case.time_s, memory=4 * case.memory)
    found = fault("lightcp", interactor, share, "strict")
    return ("WA", found[1]) if found else word("lightcp", "AC")


def interaction(format: Format, submission: Word | None, judge: Word, mode: Mode) -> Word:
    """Both sides of an interactive problem. In DMOJ an interactor at fault decides. LightCPVerifier's hangs
    up when it has seen enough, and the submission dies of the closed pipe: officially that is its verdict."""
    if format == "dmoj" and judge[0] == "IE":
        return judge
    if mode == "fixed" and submission and submission[0] == "RTE" and judge[0] == "WA":
        return judge
    return submission or judge


def goes_on(format: Format, case: Case, failed: Sequence[Case], skipped: Sequence[Case]) -> bool | None:
    """Whether `case` runs after earlier ones failed or were skipped: True, False (skip it), or None (nothing
    runs any more)."""
    if format != "dmoj":
        return None if failed else True
    if any(one.points == 0 for one in failed) or (not case.pretest and any(one.pretest for one in failed)):
        return None
    if case.batch is None:
        return True
    return {case.batch, *case.needs}.isdisjoint(one.batch for one in (*failed, *skipped))


def combine(format: Format, done: Sequence[CaseResult]) -> Word:
    """The submission's verdict: that of the first test that failed, in the order they ran."""
    failed = next((result for result in done if result.verdict not in ("AC", "SKIP")), None)
    return (failed.verdict, failed.official) if failed else word(format, "AC")
