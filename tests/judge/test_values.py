"""Results of calls: described inside the sandbox, made again and compared outside, as Python would have."""

from __future__ import annotations

import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from itertools import product
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
        (2.0**80, str(2**80)), ("\ud83d", '"\\ud83d"'), ("\U0001f600", '"\\ud83d\\ude00"'),
        (Decimal("1." + "0" * 9000), "1"), (Decimal("100"), "100"), (np.timedelta64(1), "1"),
        (Lists([1, (2)]), "[1, 2]"), (Colour.RED, "1"), (Counter("aab"), '{"a": 2, "b": 1}'),
        (OrderedDict(a=1), '{"a": 1}'), (defaultdict(int, a=1), '{"a": 1}'),
        (np.int64(5), "5"), ([np.int64(5), 6], "[5, 6]"), (np.float32(0.1), "0.1"), (np.bool_(True), "true"),
        (np.str_("x"), '"x"'), (np.array([3]), "3"), (np.array([[3]]), "[3]"), ([np.array([1])], "[[1]]"),
    ],
)  # fmt: skip
def test_values_that_python_finds_equal(value: Any, answer: str) -> None:
    assert same_value(told(value), answer.encode(), {})


@pytest.fixture
def digits() -> Iterator[Callable[[int], None]]:
    before = sys.get_int_max_str_digits()
    yield sys.set_int_max_str_digits
    sys.set_int_max_str_digits(before)


def test_integers_have_no_limit_of_digits_where_python_has_none(digits: Callable[[int], None]) -> None:
    digits(0)
    assert same_value(told(10**20_000), b"1" + b"0" * 20_000, {})
    assert same_value(told(-(10**20_000) - 7), b"-1" + b"0" * 19_999 + b"7", {})
    assert not same_value(told(10**20_000 + 1), b"1" + b"0" * 20_000, {})


def test_an_integer_that_no_expected_output_could_be_is_wrong(digits: Callable[[int], None]) -> None:
    digits(1000)
    assert same_value(told(10**999), b"1" + b"0" * 999, {})
    assert not same_value(told(10**1000), b"1" + b"0" * 1000, {})
    digits(640)  # the least there is
    assert same_value(told([10**639]), b"[1" + b"0" * 639 + b"]", {})


def test_nan_is_equal_where_it_is_the_one_that_json_gives() -> None:
    passed_on, own = json.loads("[NaN]"), [float("nan")]
    assert same_value(told(passed_on), b"[NaN]", {})
    assert not same_value(told(own), b"[NaN]", {})
    assert same_value(told(own), b"[NaN]", {"lenient": True})


def test_sympys_numbers_equal_those_of_their_own_kind() -> None:
    sympy, mpmath = pytest.importorskip("sympy"), pytest.importorskip("mpmath")
    values = [
        sympy.Integer(3), sympy.Integer(1), sympy.Rational(1, 2), sympy.Float(3.0), sympy.Float("0.1", 30),
        sympy.true, sympy.false, sympy.oo, sympy.nan, sympy.sqrt(2), sympy.Symbol("x"), mpmath.mpf(3),
        mpmath.mpf("0.1"), mpmath.mpc(3, 0), sympy.Integer(10) ** 900, mpmath.mpf(2) ** 70,
    ]  # fmt: skip
    texts = ["3", "3.0", "1", "1.0", "true", "false", "0.5", "0.1", "Infinity", "NaN", '"x"', str(2**70)]
    for value, text in product(values, [*texts, "1" + "0" * 900]):
        assert same_value(told(value), text.encode(), {}) == bool(value == json.loads(text)), (value, text)
        assert same_value(told([value]), f"[{text}]".encode(), {}) == ([value] == json.loads(f"[{text}]"))


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (Forged(1), "2"), (ForgedList([1]), "[2]"), ([Forged(2)], "[3]"), (object(), "null"),
        ({1: 2}, '{"1": 2}'),
        ((1, 2), "[1, 2]"), ([(1, 2)], "[[1, 2]]"), (deque([1]), "[1]"), (range(2), "[0, 1]"), ({1}, "[1]"),
        (b"a", '"a"'), (float("nan"), "NaN"), (np.array([1, 2]), "[1, 2]"), (np.array([]), "[]"), ("1", "1"),
        (1e-9, "0"), (None, "0"), (Decimal("NaN"), "NaN"), (np.array(["x" * 9000]), '"y"'),
        ("\ud83d\ude00", '"\\ud83d\\ude00"'),
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
