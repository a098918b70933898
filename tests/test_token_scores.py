"""What a predictor's scores mean, on tokens small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.token_scores import (
    Tokens,
    boundary_f1,
    calibration_error,
    choose_threshold,
    class_scores,
    log_loss,
)


def tokens(style: str, probabilities: list[float] | str, traces: str = "", places: str = "") -> Tokens:
    """Labels as 0 and 1 per token; probabilities may be written so, too."""
    found = [float(p) for p in probabilities]
    trace = np.array([int(c) for c in traces or "0" * len(style)], dtype=np.int64)
    position = np.array([int(c) for c in places] if places else range(len(style)), dtype=np.int64)
    return Tokens(trace, position, np.array([c == "1" for c in style], dtype=bool), np.array(found))


def test_class_scores_by_hand() -> None:
    scores = class_scores(tokens("1100", "1010"), 0.5)
    assert set(scores.values()) == {0.5}
    assert class_scores(tokens("11", "11"), 0.5)["capability_f1"] == 1.0


def test_a_boundary_counts_within_its_tolerance_and_once() -> None:
    two_late = tokens("111100000", "111111000")
    assert boundary_f1(two_late, 0.5, 0) == 0.0
    assert boundary_f1(two_late, 0.5, 1) == 0.0
    assert boundary_f1(two_late, 0.5, 2) == 1.0
    assert boundary_f1(tokens("1100", "1101"), 0.5, 2) == pytest.approx(2 / 3)


def test_a_boundary_in_the_other_direction_is_another() -> None:
    assert boundary_f1(tokens("1100", "0011"), 0.5, 2) == 0.0


def test_there_is_no_boundary_between_traces_or_over_a_gap() -> None:
    nothing = tokens("1100", "1100", traces="0011")
    assert boundary_f1(nothing, 0.5, 0) == 1.0
    assert boundary_f1(tokens("1100", "1000", traces="0011"), 0.5, 9) == 0.0
    assert boundary_f1(tokens("1100", "1111", places="0189"), 0.5, 0) == 1.0


def test_calibration_by_hand() -> None:
    assert calibration_error(tokens("1010", [1, 0, 1, 0])) == 0.0
    assert calibration_error(tokens("0101", [1, 0, 1, 0])) == 1.0
    assert calibration_error(tokens("1110", [0.75] * 4)) == pytest.approx(0.0)
    assert calibration_error(tokens("", [])) == log_loss(tokens("", [])) == 0.0


def test_a_policy_moves_the_threshold_its_way() -> None:
    doubtful = tokens("1101001000", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2, 0.1])
    chosen = [choose_threshold(doubtful, p) for p in ("no_style_leak", "balanced", "no_capability_leak")]
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[2]
    assert class_scores(doubtful, chosen[0])["style_recall"] == 1.0
    assert class_scores(doubtful, chosen[2])["capability_recall"] == 1.0


def test_of_equally_good_thresholds_the_nearest_to_a_half() -> None:
    assert choose_threshold(tokens("10", [0.9, 0.1]), "balanced") == 0.5


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=40), st.integers(0, 3))
def test_scores_are_shares_and_a_wider_tolerance_finds_no_fewer(
    drawn: list[tuple[bool, float]], tolerance: int
) -> None:
    some = tokens("".join(str(int(style)) for style, _ in drawn), [p for _, p in drawn])
    assert all(0 <= value <= 1 for value in class_scores(some, 0.5).values())
    assert 0 <= boundary_f1(some, 0.5, tolerance) <= boundary_f1(some, 0.5, tolerance + 1) <= 1
    assert 0 <= calibration_error(some) <= 1
