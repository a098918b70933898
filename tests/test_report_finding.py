"""The claim sentence follows the data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import results, row

from tessy.report.contract import parse_results
from tessy.report.finding import Finding, find


def finding(scores: dict[str, tuple[float, float, float]], half: float = 0.05, **changes: Any) -> Finding:
    """What is found for (TESSY, Student, Teacher-Only) scores by benchmark."""
    rows = [
        row(method, benchmark, value, half)
        for benchmark, values in scores.items()
        for method, value in zip(("TESSY", "Student", "Teacher-Only"), values, strict=True)
    ]
    return find(parse_results(results(rows=rows, **{"out_of_domain": []} | changes)))


def test_ordering_with_intervals_apart_is_seen() -> None:
    found = finding({"a": (0.8, 0.6, 0.4)})
    assert found.word == "seen"
    assert "TESSY is 20.0 points above Student (95 % intervals apart)" in found.in_domain[0].sentence


def test_overlapping_intervals_settle_nothing() -> None:
    found = finding({"a": (0.63, 0.6, 0.4)})
    assert found.word == "not settled"
    assert "3.0 points above Student (95 % intervals overlap: not settled)" in found.in_domain[0].sentence


def test_a_settled_reversal_contradicts_the_ordering() -> None:
    found = finding({"a": (0.4, 0.6, 0.2)})
    assert found.word == "not seen"
    assert "TESSY is 20.0 points below Student" in found.in_domain[0].sentence


@pytest.mark.parametrize(
    ("second", "word"),
    [((0.8, 0.6, 0.4), "seen"), ((0.6, 0.6, 0.4), "partly seen"), ((0.4, 0.6, 0.2), "partly seen")],
)
def test_benchmarks_are_weighed_together(second: tuple[float, float, float], word: str) -> None:
    found = finding({"a": (0.8, 0.6, 0.4), "b": second})
    assert found.word == word
    assert "a" in found.headline
    assert "b" in found.headline


def test_equal_scores_are_called_equal() -> None:
    assert "TESSY equals Student" in finding({"a": (0.6, 0.6, 0.4)}).in_domain[0].sentence


@pytest.mark.parametrize(("low", "word"), [(0.01, "seen"), (-0.01, "not settled")])
def test_a_paired_interval_decides_where_there_is_one(low: float, word: str) -> None:
    paired = {"method": "TESSY", "against": "Student", "benchmark": "a", "metric": "pass@1"}
    found = finding(
        {"a": (0.63, 0.6, 0.4)}, paired=[paired | {"difference": 0.03, "ci_low": low, "ci_high": 0.05}]
    )
    assert found.word == word
    assert f"paired 95 % interval {'+1.0' if low > 0 else '−1.0'} to +5.0" in found.in_domain[0].sentence


def test_out_of_domain_benchmarks_do_not_decide() -> None:
    found = finding({"a": (0.8, 0.6, 0.4), "chains": (0.2, 0.6, 0.4)}, out_of_domain=["chains"])
    assert found.word == "seen"
    assert [f.benchmark for f in found.out_of_domain] == ["chains"]


def test_without_all_three_methods_nothing_is_judged() -> None:
    found = find(parse_results(results(rows=[row("TESSY", "a", 0.9), row("Student", "a", 0.1)])))
    assert found.word == "not judged"


SCORE = st.integers(1, 19).map(lambda twentieths: twentieths / 20)


@given(st.tuples(SCORE, SCORE, SCORE))
def test_seen_means_every_step_wider_than_its_two_intervals(scores: tuple[float, float, float]) -> None:
    tessy, student, teacher_only = scores
    seen = finding({"a": scores}, half=0.03).word == "seen"
    assert seen == (tessy - student > 0.06 and student - teacher_only > 0.06)
