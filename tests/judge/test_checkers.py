"""Built-in checkers on what programs really print, and on what nobody should."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge.checkers import BUILT_IN, Unfit, floats, livecodebench, standard

TEXT = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"1", b"-2.5", b"nan", b"inf", b"1e9", b"x", b" ", b"\n", b"\r\n", b"\0", b"\xff"])
    ).map(b"".join),
)


def decided(name: str, output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool | None:
    """None: the options do not suit the answer."""
    try:
        return BUILT_IN[name](output, answer, options)
    except Unfit:
        return None


@given(TEXT, TEXT)
def test_checkers_never_fail(output: bytes, answer: bytes) -> None:
    for name in BUILT_IN:
        assert decided(name, output, answer, {}) in (True, False, None)


@given(
    TEXT,
    TEXT,
    st.dictionaries(st.sampled_from(["precision", "split_on", "error_mode"]), st.integers(-400, 400)),
)
def test_odd_options_are_refused_or_obeyed(output: bytes, answer: bytes, options: dict[str, int]) -> None:
    for name in BUILT_IN:
        try:
            decided(name, b"", b"", options)  # as loaders ask
        except (TypeError, ValueError):
            continue
        assert decided(name, output, answer, options) in (True, False, None)


def finite(token: bytes) -> bool:
    """What is no finite number equals nothing, itself included; what is no number at all is a word."""
    try:
        return math.isfinite(float(token))
    except ValueError:
        return True


@given(TEXT)
def test_an_answer_equals_itself_unless_it_is_no_number(answer: bytes) -> None:
    for name in BUILT_IN:
        if name == "value" or (name.startswith("floats") and not all(map(finite, answer.split()))):
            continue
        assert decided(name, answer, answer, {}) is not False, name


@given(st.lists(st.lists(st.integers(0, 99), min_size=1), min_size=1), st.integers(1, 3))
def test_standard_ignores_only_the_width_of_gaps(rows: list[list[int]], width: int) -> None:
    answer = "\n".join(" ".join(map(str, row)) for row in rows).encode()
    wide = ("\n" * width).join((" " * width).join(map(str, row)) for row in rows).encode()
    assert standard(b" \n" + wide + b"\n\n", answer, {})
    flat = " ".join(str(n) for row in rows for n in row).encode()
    assert standard(flat, answer, {}) == (len(rows) == 1)


@given(st.floats(-1e9, 1e9), st.floats(-1, 1))
def test_floats_accept_within_the_precision(value: float, share: float) -> None:
    answer = repr(value).encode()
    assert floats(repr(value + 0.9e-6 * share).encode(), answer, {"precision": 6})
    assert not floats(repr(value + 10 + abs(value)).encode(), answer, {"precision": 6})


@pytest.mark.parametrize(
    ("output", "answer", "same"),
    [
        (b"1.0", b"1", True),
        (b"1 2.50", b"1.0 2.5", True),
        (b"1  2", b"1 2", True),
        (b"yes  no", b"yes no", False),
        (b"Yes", b"yes", False),
        (b"1\n2\n\n", b"1\n2", True),
        (b"1\n\n2", b"1\n2", False),
        (b"0.1", b"0.10000000000000001", False),
        (b"1e400", b"1e400", True),
        (b"snan 1", b"snan 2", False),
        (b"\xff", b"\xfe", True),
    ],
)
def test_livecodebench_lines(output: bytes, answer: bytes, same: bool) -> None:
    assert livecodebench(output, answer, {}) is same


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_checkers_stay_quick_on_large_output(name: str) -> None:
    start = time.perf_counter()
    for output in (b"7" * 4_000_000, b"1 " * 1_000_000, b"\n" * 4_000_000, b"\0" * 4_000_000):
        decided(name, output, b"1 2 3\n" * 1000, {"point_distribution": [1] * 1000})
    assert time.perf_counter() - start < 20
