"""The window rule: enough context, never more than fits, few different starts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.labels import IGNORED
from tessy.boundary.windows import training_windows, window_start

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


labels = st.lists(st.sampled_from([IGNORED, 0, 1]), max_size=80)


@given(labels, st.integers(2, 20))
def test_training_sees_every_annotated_token_once_with_the_context_of_use(
    known: list[int], size: int
) -> None:
    ids = list(range(len(known)))
    seen: dict[int, int] = {}
    for window in training_windows(ids, known, size):
        assert len(window.ids) == len(window.targets) <= size
        for id_, target in zip(window.ids, window.targets, strict=True):
            if target != IGNORED:
                assert window.start == window_start(id_, size)
                assert id_ + 1 not in seen
                seen[id_ + 1] = target
    assert seen == {i: label for i, label in enumerate(known) if i > 0 and label != IGNORED}
