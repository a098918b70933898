"""From verdicts to cells: prefix verdicts, pass@k, what counts in the denominator, groups, paired tests."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.scores import PREFIXES, prefix_passed
from tessy.config.evaluate import CodeBenchmark
from tessy.report.scores import Runs, Sample, breakdown, cells, metrics, paired
from tessy.statistics import paired_p_value, pass_at_k

BENCHMARK = CodeBenchmark(name="b", kind="ojbench", source="miniature")


@pytest.mark.parametrize(
    ("first_failure", "passes"),
    [
        (None, {"1/8", "1/4", "1/2"}),
        (0, set()),
        (1, {"1/8"}),
        (2, {"1/8", "1/4"}),
        (4, {"1/8", "1/4", "1/2"}),
    ],
)
def test_a_prefix_passes_when_the_first_failure_lies_behind_it(
    first_failure: int | None, passes: set[str]
) -> None:
    tests = ["AC"] * 8
    if first_failure is not None:
        tests[first_failure] = "WA"
    passed = first_failure is None
    assert {name for name, share in PREFIXES.items() if prefix_passed(tests, passed, share)} == passes


@pytest.mark.parametrize(("cases", "counted"), [(12, 2), (20, 2), (28, 4)])
def test_half_a_test_rounds_to_the_even_number(cases: int, counted: int) -> None:
    for failure in range(cases):
        tests = ["AC"] * failure + ["TLE"] + ["AC"] * (cases - failure - 1)
        assert prefix_passed(tests, False, 1 / 8) == (failure >= counted)


def test_a_program_that_never_ran_passes_no_prefix() -> None:
    assert not prefix_passed([], False, 1 / 8)


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_subsets_that_pass(outcomes: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(outcomes)))
    subsets = [any(subset) for subset in combinations(outcomes, k)]
    assert pass_at_k(len(outcomes), sum(outcomes), k) == pytest.approx(np.mean(subsets))


def test_pass_at_more_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match="number of samples"):
        pass_at_k(3, 1, 4)


def test_the_paired_test_needs_many_problems_to_be_sure() -> None:
    zeros = np.zeros((2, 4))
    assert paired_p_value(zeros, zeros) == 1
    assert paired_p_value(zeros + 1, zeros) > 0.05
    assert paired_p_value(np.ones((1, 40)), np.zeros((1, 40))) < 0.001
    rng = np.random.default_rng(3)
    noise = rng.random((1, 50)), rng.random((1, 50))
    assert paired_p_value(*noise) == pytest.approx(paired_p_value(*reversed(noise)))


def runs(outcomes: dict[str, list[bool]], *, judgeable: bool = True, tag: str = "easy") -> Runs:
    return {
        0: {
            name: [
                Sample(name, float(ok), not ok, judgeable, {"difficulty": tag, "date": name}) for ok in oks
            ]
            for name, oks in outcomes.items()
        }
    }


def test_cells_give_the_benchmark_s_metric_first_and_further_ones_after() -> None:
    found = {
        score.metric: score for score in cells("TESSY", BENCHMARK, runs({"p": [1, 0], "q": [0, 0]}), (2,))
    }
    assert list(found) == ["pass@1", "pass@2", "truncated"]
    assert found["pass@1"].value == 0.25
    assert found["pass@2"].value == 0.5
    assert found["truncated"].value == 0.75
    assert found["pass@1"].ci_low <= 0.25 <= found["pass@1"].ci_high


def test_a_problem_with_too_few_samples_has_no_pass_at_k() -> None:
    found = {score.metric: score for score in cells("TESSY", BENCHMARK, runs({"p": [1, 0], "q": [0]}), (2,))}
    assert (found["pass@1"].n_problems, found["pass@2"].n_problems) == (2, 1)


def test_problems_without_tests_count_as_failed_and_are_told_apart() -> None:
    whole = {0: {**runs({"p": [True]})[0], **runs({"q": [False]}, judgeable=False)[0]}}
    found = {score.metric: score.value for score in cells("TESSY", BENCHMARK, whole, ())}
    assert found == {"pass@1": 0.5, "pass@1, judgeable problems only": 1.0, "truncated": 0.0}


def test_what_the_judge_s_known_faults_cost_is_a_metric_of_its_own() -> None:
    samples = [Sample("p", 0.0, False, fixed=fixed) for fixed in (True, False, None)]
    unknown = [Sample("q", 1.0, False)]
    found = {s.metric: s for s in cells("TESSY", BENCHMARK, {0: {"p": samples, "q": unknown}}, ())}
    assert found["pass@1"].value == 0.5
    assert found["pass@1, judge's faults repaired"].value == 0.5
    assert found["pass@1, judge's faults repaired"].n_problems == 1


def test_prefix_verdicts_are_metrics_of_their_own() -> None:
    sample = Sample("p", 0.0, False, prefix={"1/8": True, "1/4": False})
    assert list(metrics(BENCHMARK, {0: {"p": [sample]}}, ())) == [
        "pass@1", "pass@1, first 1/8 of tests", "pass@1, first 1/4 of tests", "truncated"
    ]  # fmt: skip


def test_a_breakdown_leaves_out_what_does_not_tell_problems_apart() -> None:
    both = {0: {**runs({"p": [True]}, tag="hard")[0], **runs({"q": [False]}, tag="easy")[0]}}
    rows = list(breakdown("TESSY", BENCHMARK, both, {"hard": "new"}))
    assert [(row["by"], row["group"], row["value"]) for row in rows] == [
        ("difficulty", "easy", 0.0), ("difficulty", "new", 1.0)
    ]  # fmt: skip
    assert not list(breakdown("TESSY", BENCHMARK, runs({"p": [True]}), {}))


def test_pairs_are_compared_on_the_problems_they_share() -> None:
    given = {"Student": runs({"p": [False], "q": [False]}), "TESSY": runs({"p": [True], "r": [False]})}
    (row,) = paired(BENCHMARK, given)
    assert (row["method"], row["against"], row["difference"]) == ("TESSY", "Student", 1.0)
    assert 0 < row["p_value"] <= 1
