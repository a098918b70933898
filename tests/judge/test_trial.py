"""However many workers share a program's tests, the verdict is that of running them one after the other."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from eval.judge import verdicts
from eval.judge.extract import Format
from eval.judge.records import Case, CaseResult, Checker, JudgeProblem, Mode
from eval.judge.trial import Trial

MODES: tuple[Mode, ...] = ("strict", "fixed")
BLANK = Case("", None, None, time_s=1, memory=1, output=1)


@st.composite
def problems(draw: st.DrawFn) -> JudgeProblem:
    """Pretests, plain cases and batches that may need earlier ones."""
    cases = [replace(BLANK, pretest=True) for _ in range(draw(st.integers(0, 2)))]
    for batch in range(1, draw(st.integers(1, 4)) + 1):
        needs = tuple(draw(st.sets(st.integers(1, batch - 1)))) if batch > 1 else ()
        cases += [replace(BLANK, batch=batch, needs=needs)] * draw(st.integers(1, 3))
        cases += [BLANK] * draw(st.integers(0, 2))
    named = tuple(replace(case, name=str(number)) for number, case in enumerate(cases))
    return JudgeProblem("p", named, Checker("standard"))


def result(format: Format, case: Case, verdict: str) -> CaseResult:
    return CaseResult(case.name, *verdicts.word(format, verdict))


def one_after_the_other(
    format: Format, problem: JudgeProblem, outcomes: list[dict[Mode, str]], mode: Mode
) -> list[CaseResult]:
    """As the official judge would: its rule, written once more and plainly."""
    done: list[CaseResult] = []
    for index, case in enumerate(problem.cases):
        bad = [problem.cases[i] for i, before in enumerate(done) if before.verdict not in ("AC", "SKIP")]
        lost = {problem.cases[i].batch for i, before in enumerate(done) if before.verdict != "AC"} - {None}
        if bad and (format != "dmoj" or (any(one.pretest for one in bad) and not case.pretest)):
            break
        if format == "dmoj" and case.batch and lost & {case.batch, *case.needs}:
            done.append(CaseResult(case.name, "SKIP", "SC"))
        else:
            done.append(result(format, case, outcomes[index][mode]))
    return done


@given(
    st.sampled_from(["dmoj", "lightcp", "lcb"]),
    problems(),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_any_number_of_workers_gives_the_sequential_course(
    format: Format, problem: JudgeProblem, workers: int, rng: random.Random
) -> None:
    outcomes = [{mode: rng.choice(["AC", "AC", "AC", "WA", "TLE"]) for mode in MODES} for _ in problem.cases]
    trial = Trial(format, problem, MODES)
    running: list[int] = []
    last = False
    while not last:
        if len(running) < workers and rng.random() < 0.6 and (index := trial.take()) is not None:
            running.append(index)
        elif running:
            index = running.pop(rng.randrange(len(running)))
            case = problem.cases[index]
            last = trial.put(index, {mode: result(format, case, outcomes[index][mode]) for mode in MODES})
    assert not running
    for mode in MODES:
        assert trial.course(mode) == one_after_the_other(format, problem, outcomes, mode)


@given(problems(), st.randoms(use_true_random=False))
def test_failure_of_ours_ends_the_trial(problem: JudgeProblem, rng: random.Random) -> None:
    trial = Trial("dmoj", problem, MODES)
    broken = rng.randrange(len(problem.cases))
    last = False
    started = 0
    while not last:
        index = trial.take()
        assert index is not None
        started += 1
        verdict = "IE" if index == broken else rng.choice(["AC", "WA"])
        last = trial.put(index, {mode: result("dmoj", problem.cases[index], verdict) for mode in MODES})
        if verdict == "IE":
            assert last
            assert trial.course("strict")[-1].verdict == "IE"
    assert started <= len(problem.cases)
