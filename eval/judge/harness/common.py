"""What both ways of running a submission share: names it finds, and how the result of a call is told."""

from __future__ import annotations

import collections
import collections.abc
import decimal
import fractions
import json
import sys
import types
from collections.abc import Callable
from typing import Any

from .libraries import number

MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics",
    "itertools", "functools", "operator", "io", "sys", "json",
)  # fmt: skip
PRELUDE = "\n".join(
    [
        *(f"from {name} import *" for name in (*MODULES, "builtins", "typing")),
        *(f"import {name}" for name in MODULES),
        "sys.setrecursionlimit(50000)",
    ]
)
"""What the official judge puts before every submission."""
PATH = "/box/main.py"
_BITS = 2000
"""Longer integers are told in hexadecimal, which no limit on digits applies to: it may be as low as 640."""
_NAN = json.loads("NaN")
"""The one of all inputs and expected outputs: lists that hold it are equal, as it is itself."""
_limit_of_digits = sys.get_int_max_str_digits


def code() -> str:
    """The submission. Half of a surrogate pair in it stays one, which Python does not compile."""
    with open(PATH, encoding="utf-8", errors="surrogatepass", newline="") as stream:
        return stream.read()


def described(value: Any) -> Any:
    """`value` as JSON from which an equal value can be made, `{"@": TYPE, "of": ...}` where JSON has no such
    type. What compares in a way of its own, as objects that equal everything do, is described as no value."""
    if value is None:
        return None
    numpy = sys.modules.get("numpy")
    arrays = (numpy.ndarray, numpy.matrix) if numpy else ()
    if numpy is not None and (type(value) in arrays or isinstance(value, numpy.generic)):
        shape = list(value.shape) if type(value) in arrays else None
        items = [described(_plain(one)) for one in numpy.asarray(value).reshape(-1).tolist()]
        return {"@": "numpy", "dtype": value.dtype.str, "shape": shape, "of": items}
    describe = _BY_EQUALITY.get(type(value).__eq__)
    if describe:
        return describe(value)
    plain, only = number(value) or (None, False)
    if plain is None:
        return {"@": "other", "of": type(value).__name__}
    return {"@": "only", "of": described(plain)} if only else described(plain)


def _plain(item: Any) -> Any:
    """Python's number for one of numpy that is longer than Python's, where that is the same value."""
    longer = {"longdouble": float, "clongdouble": complex}.get(type(item).__name__)
    if longer is None:
        return item
    number = longer(item)
    if number == item or item != item:
        return number
    return int(item) if longer is float and item % 1 == 0 else object()


def _integer(value: int) -> Any:
    if type(value) is bool:
        return value
    exact = int.__add__(value, 0)
    if exact.bit_length() <= _BITS:
        return exact
    limit = _limit_of_digits()
    if limit and exact.bit_length() > 3 * limit and abs(exact) >= 10**limit:
        return {"@": "other", "of": "int"}  # no expected output can be read that equals it
    return {"@": "int", "of": hex(exact)}


def _float(value: float) -> Any:
    return float.__add__(value, 0.0) if value is _NAN or value == value else {"@": "nan", "of": None}


def _text(value: str) -> Any:
    exact = str.__add__(value, "")
    try:
        exact.encode()
    except UnicodeEncodeError:  # JSON would join the halves of a surrogate pair
        return {"@": "characters", "of": list(exact)}
    return exact


def _decimal(value: decimal.Decimal) -> Any:
    text = decimal.Decimal.__str__(value)
    return {"@": "decimal", "of": text.rstrip("0") if "." in text and "E" not in text else text}


def _dict(value: dict[Any, Any]) -> Any:
    return {"@": "dict", "of": [[described(key), described(one)] for key, one in dict.items(value)]}


_BY_EQUALITY: dict[Any, Callable[[Any], Any]] = {
    int.__eq__: _integer,
    float.__eq__: _float,
    str.__eq__: _text,
    list.__eq__: lambda value: [described(one) for one in list.__iter__(value)],
    tuple.__eq__: lambda value: {"@": "tuple", "of": [described(one) for one in tuple.__iter__(value)]},
    dict.__eq__: _dict,
    collections.OrderedDict.__eq__: _dict,
    collections.Counter.__eq__: _dict,
    types.MappingProxyType.__eq__: lambda value: _dict(dict(value)),
    collections.abc.Mapping.__eq__: lambda value: _dict(dict(value.items())),
    collections.UserList.__eq__: lambda value: described(value.data),
    collections.UserString.__eq__: lambda value: described(value.data),
    complex.__eq__: lambda value: {"@": "complex", "of": [value.real, value.imag]},
    fractions.Fraction.__eq__: lambda value: {
        "@": "fraction", "of": [described(value.numerator), described(value.denominator)],
    },
    decimal.Decimal.__eq__: _decimal,
}  # fmt: skip
