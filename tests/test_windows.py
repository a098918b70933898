"""The window rule: enough context, never more than fits, few different starts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.windows import window_start

positions = st.integers(0, 5000)
sizes = st.integers(2, 600)


@given(positions, sizes)
def test_at_least_half_and_less_than_a_whole_window_of_context(position: int, size: int) -> None:
    context = position - window_start(position, size)
    assert min(position, size // 2) <= context < size


@given(positions, sizes)
def test_starts_never_go_back_and_change_once_in_half_a_window(position: int, size: int) -> None:
    here, after = window_start(position, size), window_start(position + 1, size)
    assert here <= after
    assert after == here or (position + 1) % (size // 2) == 0


def test_examples() -> None:
    assert [window_start(i, 8) for i in (0, 7, 8, 11, 12, 16)] == [0, 0, 4, 4, 8, 12]


def test_a_window_needs_a_half() -> None:
    with pytest.raises(ValueError, match="no half"):
        window_start(0, 1)
