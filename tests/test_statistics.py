"""Intervals: they hold the value, shrink with data, and are honest where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessy.statistics import difference, mean

SCORES = arrays(
    float, st.tuples(st.integers(1, 3), st.integers(2, 12)), elements=st.sampled_from([0.0, 0.5, 1.0])
)


@settings(max_examples=25)
@given(SCORES)
def test_an_interval_holds_its_value(scores: np.ndarray) -> None:
    estimate = mean(scores)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_all_right_is_not_certain() -> None:
    estimate = mean(np.ones((2, 50)))
    assert estimate.value == estimate.high == 1
    assert 0.9 < estimate.low < 0.95


def test_more_problems_make_a_narrower_interval() -> None:
    few, many = (mean(np.tile([0.0, 1.0], (1, n))) for n in (10, 200))
    assert many.high - many.low < few.high - few.low


def test_seeds_that_disagree_widen_the_interval() -> None:
    agree = mean(np.array([[0.0, 1.0] * 50, [0.0, 1.0] * 50]))
    disagree = mean(np.array([[0.0] * 100, [1.0] * 100]))
    assert disagree.high - disagree.low > agree.high - agree.low


def test_a_paired_difference_cancels_hard_problems() -> None:
    rng = np.random.default_rng(1)
    hard = rng.integers(0, 2, size=(1, 200)).astype(float)
    better = np.clip(hard + (rng.random((1, 200)) < 0.1), 0, 1)
    gap = difference(better, hard)
    assert gap.value == pytest.approx((better - hard).mean())
    assert gap.low > 0
