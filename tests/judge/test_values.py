"""Results of calls: described inside the sandbox, made again and compared outside, as Python would have."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge.harness.common import described
from eval.judge.values import same_value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Lists(list):
    pass


class Colour(IntEnum):
    RED = 1


class Forged(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class ForgedList(list):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def told(value: Any) -> bytes:
    return json.dumps(described(value)).encode()


@given(JSON, JSON)
def test_equal_json_is_equal_and_nothing_else(value: Any, other: Any) -> None:
    assert same_value(told(value), json.dumps(value).encode(), {})
    assert same_value(told(value), json.dumps(other).encode(), {}) == (value == json.loads(json.dumps(other)))


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (True, "1"), (1.0, "1"), (Decimal("2.50"), "2.5"), (Fraction(6, 3), "2"), (complex(3), "3"),
        (2.0**80, str(2**80)),
        (Lists([1, (2)]), "[1, 2]"), (Colour.RED, "1"), (Counter("aab"), '{"a": 2, "b": 1}'),
        (OrderedDict(a=1), '{"a": 1}'), (defaultdict(int, a=1), '{"a": 1}'),
        (np.int64(5), "5"), ([np.int64(5), 6], "[5, 6]"), (np.float32(0.1), "0.1"), (np.bool_(True), "true"),
        (np.str_("x"), '"x"'), (np.array([3]), "3"), (np.array([[3]]), "[3]"), ([np.array([1])], "[[1]]"),
    ],
)  # fmt: skip
def test_values_that_python_finds_equal(value: Any, answer: str) -> None:
    assert same_value(told(value), answer.encode(), {})


def test_integers_have_no_limit_of_digits() -> None:
    assert same_value(told(10**20_000), b"1" + b"0" * 20_000, {})
    assert same_value(told(-(10**20_000) - 7), b"-1" + b"0" * 19_999 + b"7", {})
    assert not same_value(told(10**20_000 + 1), b"1" + b"0" * 20_000, {})


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (Forged(1), "2"), (ForgedList([1]), "[2]"), ([Forged(2)], "[3]"), (object(), "null"),
        ({1: 2}, '{"1": 2}'),
        ((1, 2), "[1, 2]"), ([(1, 2)], "[[1, 2]]"), (deque([1]), "[1]"), (range(2), "[0, 1]"), ({1}, "[1]"),
        (b"a", '"a"'), (float("nan"), "NaN"), (np.array([1, 2]), "[1, 2]"), (np.array([]), "[]"), ("1", "1"),
        (1e-9, "0"), (None, "0"), (Decimal("NaN"), "NaN"), (np.array(["x" * 9000]), '"y"'),
    ],
)  # fmt: skip
def test_values_that_python_does_not_find_equal(value: Any, answer: str) -> None:
    assert not same_value(told(value), answer.encode(), {})


@pytest.mark.parametrize(
    ("value", "answer"),
    [([(1, 2)], "[[1, 2]]"), ((1, (2,)), "[1, [2]]"), (np.array([[1, 2]]), "[[1, 2]]"), (np.int64(3), "3")],
)
def test_leniently_tuples_and_arrays_are_lists(value: Any, answer: str) -> None:
    assert same_value(told(value), answer.encode(), {"lenient": True})


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_submission_writes_is_no_error(output: bytes) -> None:
    assert same_value(output, b"12345", {}) == (output.strip() in (b"12345", b"12345.0"))
    assert same_value(b'{"@": "numpy", "dtype": "<U999999999", "shape": [9], "of": ["a"]}', b"1", {}) is False


def test_what_is_far_longer_than_the_answer_is_not_read() -> None:
    assert not same_value(b"[" * 100_000_000, b"[]", {})
