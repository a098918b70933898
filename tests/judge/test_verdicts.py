"""The verdict rules as tables: how a run ended, and what each judge makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge import selftest, verdicts
from eval.judge.extract import Format
from eval.judge.formats import FORMATS
from eval.judge.records import MIB, Case, CaseResult, Checker, Helper, JudgeProblem, Mode, Source
from eval.sandbox import Outcome

CASE = Case("1", None, None, time_s=10, memory=1024 * MIB, output=MIB)
CLEAN = Outcome("exit", 0, None, cpu_s=1, wall_s=1, queued_s=0, memory=MIB, main_memory=MIB)
LATE = replace(CLEAN, cpu_s=10.1, wall_s=10.2)
FAT = replace(CLEAN, memory=2048 * MIB, main_memory=2048 * MIB)
KILLED = {"exit_code": None, "signal": 9}
BATCH = JudgeProblem("p", (CASE,), Checker("standard"), wall_factor=3.0)
TESTLIB = Helper(Source("cpp", {"i.cpp": b""}), ())
PLAIN = replace(TESTLIB, exits="plain")
INTERACTIVE = replace(BATCH, interactor=TESTLIB)


@pytest.mark.parametrize(
    ("format", "outcome", "official"),
    [
        ("dmoj", CLEAN, None),
        ("dmoj", replace(LATE, memory=2048 * MIB, main_memory=2048 * MIB), "TLE"),
        ("dmoj", replace(FAT, ended="output"), "MLE"),
        ("dmoj", replace(FAT, main_memory=MIB), None),  # children's memory is not looked at
        ("dmoj", replace(CLEAN, ended="memory", **KILLED), "MLE"),
        ("dmoj", replace(CLEAN, ended="output", exit_code=1), "OLE"),
        ("dmoj", replace(CLEAN, exit_code=None, signal=11), "RTE"),
        ("dmoj", replace(CLEAN, exit_code=1), "IR"),
        ("dmoj", replace(CLEAN, wall_s=11.0), "TLE"),  # sleeping counts
        ("dmoj", replace(CLEAN, wall_s=11.0, queued_s=2.0), None),  # waiting for a CPU does not
        ("lightcp", replace(LATE, memory=2048 * MIB), "Memory Limit Exceeded"),
        ("lightcp", replace(FAT, main_memory=MIB), "Memory Limit Exceeded"),
        ("lightcp", replace(CLEAN, ended="cpu", **KILLED), "Time Limit Exceeded"),
        ("lightcp", replace(CLEAN, ended="wall", **KILLED), "Time Limit Exceeded"),
        ("lightcp", replace(CLEAN, wall_s=19.0), None),
        ("lightcp", replace(CLEAN, ended="output"), "Output Limit Exceeded"),
        ("lightcp", replace(CLEAN, exit_code=1), "Nonzero Exit Status"),
        ("lightcp", replace(CLEAN, exit_code=None, signal=6), "Signalled"),
        ("lcb", LATE, "Time Limit Exceeded"),
        ("lcb", replace(CLEAN, exit_code=1), "Runtime Error"),
        ("lcb", replace(CLEAN, exit_code=None, signal=11), "Runtime Error"),
    ],
)
def test_a_run_alone_decides(format: Format, outcome: Outcome, official: str | None) -> None:
    word = verdicts.fault(format, outcome, CASE, "strict")
    assert (word and word[1]) == official


@pytest.mark.parametrize(
    ("format", "code", "strict", "fixed"),
    [
        ("dmoj", 0, "AC", "AC"), ("dmoj", 1, "WA", "WA"), ("dmoj", 2, "WA", "WA"), ("dmoj", 3, "IE", "IE"),
        ("dmoj", 7, "IE", "IE"), ("dmoj", 99, "IE", "IE"), ("lightcp", 0, "AC", "AC"),
        ("lightcp", 1, "WA", "WA"), ("lightcp", 2, "WA", "WA"), ("lightcp", 3, "WA", "IE"),
        ("lightcp", 7, "WA", "WA"), ("lightcp", 99, "WA", "IE"),
    ],
)  # fmt: skip
def test_a_checkers_exit_code(format: Format, code: int, strict: str, fixed: str) -> None:
    outcome = replace(CLEAN, exit_code=code)
    assert verdicts.checked(format, TESTLIB, CASE, outcome, b"", "strict")[0] == strict
    assert verdicts.checked(format, TESTLIB, CASE, outcome, b"", "fixed")[0] == fixed


@pytest.mark.parametrize(("code", "word"), [(0, "AC"), (1, "WA"), (2, "IE"), (3, "IE"), (7, "IE")])
def test_a_checker_of_type_default_knows_two_exits(code: int, word: str) -> None:
    assert verdicts.checked("dmoj", PLAIN, CASE, replace(CLEAN, exit_code=code), b"", "strict")[0] == word


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("points 0", "AC"),
        ("points 2", "AC"),
        ("points 2 half", "IE"),
        ("points 2.5 half", "IE"),
        ("points 6", "IE"),
        ("points -1", "IE"),
    ],
)
def test_a_checker_gives_at_most_the_points_there_are(said: str, word: str) -> None:
    case, outcome = replace(CASE, points=5), replace(CLEAN, exit_code=7)
    assert verdicts.checked("dmoj", TESTLIB, case, outcome, said.encode(), "strict")[0] == word
    assert verdicts.checked("dmoj", TESTLIB, CASE, outcome, said.encode(), "strict")[0] in ("AC", "IE")


@pytest.mark.parametrize("outcome", [replace(CLEAN, exit_code=None, signal=11), replace(CLEAN, ended="wall")])
def test_a_checker_that_dies_or_hangs(outcome: Outcome) -> None:
    assert verdicts.checked("lightcp", TESTLIB, CASE, outcome, b"", "strict")[0] == "WA"
    assert verdicts.checked("lightcp", TESTLIB, CASE, outcome, b"", "fixed")[0] == "IE"
    assert verdicts.checked("dmoj", TESTLIB, CASE, outcome, b"", "strict")[0] == "IE"


def test_limits_of_a_submission() -> None:
    """Stopped a little beyond the limit, so that a near miss can be told and tried again."""
    light = verdicts.limits("lightcp", replace(BATCH, wall_factor=2.0), CASE, ["strict"])
    assert light.cpu_s == verdicts.allowed_s(10)
    assert light.wall_s == verdicts.allowed_s(20)
    assert (light.address_space, light.stack) == (CASE.memory + 16384, CASE.memory)
    assert (light.processes, light.stderr, light.open_files) == (128, 64 * MIB, 256)
    assert (light.tmp, light.inodes, light.weighed, light.hold) == (128 * MIB, 4096, True, False)
    talking = verdicts.limits("lightcp", INTERACTIVE, CASE, ["strict"])
    assert (talking.address_space, talking.stderr, talking.hold) == (None, MIB, True)
    oj = {modes: verdicts.limits("dmoj", BATCH, CASE, modes) for modes in (("strict",), ("strict", "fixed"))}
    assert oj["strict",].wall_s == verdicts.allowed_s(10)
    assert oj["strict", "fixed"].wall_s == verdicts.allowed_s(30)
    assert (oj["strict",].stderr, oj["strict",].tmp) == (MIB, 0)
    interactor = verdicts.interactor_limits("lightcp", CASE)
    assert (interactor.cpu_s, interactor.wall_s, interactor.memory) == (40, 80, 4 * CASE.memory)
    checker = verdicts.checker_limits("lightcp")
    assert (checker.cpu_s, checker.wall_s, checker.memory) == (10, 20, 256 * MIB)


@pytest.mark.parametrize(
    ("interactor", "expected"),
    [
        (CLEAN, "AC Accepted"),
        (replace(CLEAN, exit_code=1), "WA Nonzero Exit Status"),
        (replace(CLEAN, exit_code=None, signal=6), "WA Signalled"),
        (replace(CLEAN, ended="wall"), "WA Time Limit Exceeded"),
        (replace(CLEAN, cpu_s=41.0), "WA Time Limit Exceeded"),
        (replace(CLEAN, memory=5 * CASE.memory), "WA Memory Limit Exceeded"),
        (replace(CLEAN, ended="output"), "WA Output Limit Exceeded"),
    ],
)
def test_lightcp_names_how_its_interactor_ended(interactor: Outcome, expected: str) -> None:
    assert " ".join(verdicts.spoken(interactor, CASE)) == expected


def test_lightcp_looks_at_the_clock_every_tenth_of_a_second() -> None:
    case = replace(CASE, time_s=0.51)
    for wall_s, late in ((1.09, False), (1.11, True)):
        outcome = replace(CLEAN, cpu_s=0.0, wall_s=wall_s, queued_s=0.0)
        assert (verdicts.fault("lightcp", outcome, case, "strict") is not None) == late
        assert verdicts.near_limit("lightcp", outcome, case, "strict") == late


def test_what_is_no_utf8_reaches_a_lightcp_checker_byte_by_byte() -> None:
    assert verdicts.as_text("3 é".encode()) == "3 é".encode()
    assert verdicts.as_text(b"\xe3\x81 \xff").decode() == "\ufffd\ufffd \ufffd"


@given(st.floats(0.1, 12), st.floats(0, 40), st.floats(0, 10), st.sampled_from(["strict", "fixed"]))
def test_near_misses_are_late_and_little(cpu_s: float, wall_s: float, queued_s: float, mode: Mode) -> None:
    outcome = replace(CLEAN, cpu_s=cpu_s, wall_s=wall_s, queued_s=queued_s)
    for format in ("dmoj", "lightcp", "lcb"):
        late = verdicts.fault(format, outcome, CASE, mode)
        if verdicts.near_limit(format, outcome, CASE, mode):
            assert late is not None
            assert late[0] == "TLE"
            assert verdicts.time_used(format, outcome, mode) <= verdicts.allowed_s(10)


@pytest.mark.parametrize("several", list(permutations(["IE", "TLE", "MLE", "OLE", "RTE", "IR", "WA"], 2)))
def test_the_first_test_that_fails_names_the_verdict(several: tuple[str, str]) -> None:
    verdict = {"IR": "RTE"}
    tests = [CaseResult("1", verdict.get(word, word), word) for word in several]
    for order in (tests, [CaseResult("0", "AC", "AC"), *tests, CaseResult("9", "SKIP", "SC")]):
        assert verdicts.combine("dmoj", order)[1] == several[0]


def test_dmoj_confines_address_space_and_company() -> None:
    limits = verdicts.confine(verdicts.limits("dmoj", BATCH, CASE, ["strict"]), 64 * MIB)
    assert (limits.address_space, limits.solo) == (1088 * MIB, True)
    assert [format for format in FORMATS if verdicts.confined(format)] == ["dmoj"]


def test_interactor_that_hangs_up_on_a_wrong_program() -> None:
    died, wrong = ("RTE", "Signalled"), ("WA", "Wrong Answer")
    assert verdicts.interaction("lightcp", died, wrong, "strict") == died
    assert verdicts.interaction("lightcp", died, wrong, "fixed") == wrong
    assert verdicts.interaction("lightcp", died, ("AC", "Accepted"), "fixed") == died
    assert verdicts.interaction("lightcp", None, wrong, "strict") == wrong


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "asserts"])
def test_the_self_test_tries_every_verdict_in_every_language(format: Format) -> None:
    tried = {(one.language, verdict) for one, *both in selftest._submissions(format) for verdict in both}
    wanted = {"AC", "WA", "TLE", "MLE", "OLE", "RTE", "CE", "NO_CODE"}
    wanted -= {verdict for where, verdict in selftest._UNTRIED if where == format}
    assert tried == {(language, verdict) for language in FORMATS[format].languages for verdict in wanted}
