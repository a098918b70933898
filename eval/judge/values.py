"""Results of calls: does one that `eval.judge.harness` describes equal the expected one, as Python compares?

Pure. What is compared is data, so no object of a submission can take part in it. Raises nothing: what cannot
be read or compared is not equal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

_NUMBERS = "?bhilqBHILQefdgFDGUOm"
_WIDEST = 1 << 12
"""Bytes of one item of an array; beyond that they are long texts."""
_LONGEST = 64
"""Bytes of a description per byte of the JSON it equals are fewer: what is longer is not even read."""
_TAG = b'"@"'
"""Without one nothing has to be made again."""
_PIECE = 4000
"""Digits that Python turns into a number whatever its limit is."""


def same_value(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Whether the described value in `output` equals the JSON in `answer` (1 == 1.0 == true). With the option
    `lenient` tuples and arrays may count as lists, at any depth."""
    if len(output) > _LONGEST * len(answer) + 4096:
        return False
    try:
        told, expected = _parsed(output), _parsed(answer)
        if _TAG not in output:
            return bool(told == expected)
        if options.get("lenient") and _rebuilt(told, lenient=True) == expected:
            return True
        return bool(_rebuilt(told, lenient=False) == expected)
    except (ValueError, TypeError, ArithmeticError, RecursionError, KeyError, IndexError):
        return False


class _Only:
    """Equals values of the same type only, as sympy's numbers do."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self._value)) and bool(self._value == other)

    __hash__ = None  # type: ignore[assignment]


def _parsed(text: bytes) -> Any:
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    """Of any length."""
    if digits.startswith("-"):
        return -_integer(digits[1:])
    if len(digits) <= _PIECE:
        return int(digits)
    return _integer(digits[:-_PIECE]) * 10**_PIECE + int(digits[-_PIECE:])


def _rebuilt(told: Any, lenient: bool) -> Any:
    if isinstance(told, list):
        return [_rebuilt(one, lenient) for one in told]
    if not isinstance(told, dict):
        return told
    if told["@"] == "numpy":
        return _array(told, lenient)
    return _MAKERS[told["@"]](told["of"], lenient)


def _array(told: Mapping[str, Any], lenient: bool) -> Any:
    import numpy as np  # few submissions return any, and the judge loads quickly without

    kind = np.dtype(told["dtype"])
    if kind.char not in _NUMBERS or kind.itemsize > _WIDEST:
        return object()
    rebuilt = _rebuilt(told["of"], lenient)
    items = np.empty(len(rebuilt), dtype=kind)
    for at, item in enumerate(rebuilt):  # one by one: an item that is a list stays one
        items[at] = item
    if told["shape"] is None:
        return items[0].item() if lenient else items[0]
    array = items.reshape(told["shape"])
    return array.tolist() if lenient else array


_MAKERS: Mapping[str, Callable[[Any, bool], Any]] = {
    "tuple": lambda of, lenient: (list if lenient else tuple)(_rebuilt(of, lenient)),
    "dict": lambda of, lenient: {_rebuilt(k, False): _rebuilt(v, lenient) for k, v in of},
    "int": lambda of, _: int(of, 16),
    "nan": lambda _, lenient: json.loads("NaN") if lenient else float("nan"),
    "characters": lambda of, _: "".join(of),
    "only": lambda of, lenient: _Only(_rebuilt(of, lenient)),
    "complex": lambda of, _: complex(*of),
    "fraction": lambda of, _: Fraction(*_rebuilt(of, False)),
    "decimal": lambda of, _: Decimal(of),
    "other": lambda of, _: object(),
}
