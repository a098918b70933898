"""Numbers of sympy and mpmath: which number of Python's own they equal."""

from __future__ import annotations

import sys
from typing import Any

_KINDS: tuple[tuple[str, str, bool, tuple[Any, ...]], ...] = (
    ("sympy.core.numbers", "Integer", True, (int,)),
    ("sympy.core.numbers", "Float", True, (float,)),
    ("sympy.core.numbers", "Infinity", True, (float,)),
    ("sympy.core.numbers", "NegativeInfinity", True, (float,)),
    ("sympy.logic.boolalg", "BooleanTrue", True, (bool,)),
    ("sympy.logic.boolalg", "BooleanFalse", True, (bool,)),
    ("mpmath.ctx_mp_python", "_mpf", False, (float, int)),
    ("mpmath.ctx_mp_python", "_mpc", False, (complex,)),
)
"""Module, class, whether it equals no number of another type (3 is not 3.0 for sympy), and the types that can
equal it. Classes below that compare in a way of their own are none of these."""


def number(value: Any) -> tuple[Any, bool] | None:
    """That number, and whether numbers of other types that equal it do not equal `value`."""
    for module, name, only, types in _KINDS:
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and type(value).__eq__ is known.__eq__:
            plain = (one(value) for one in types)
            return next(((one, only) for one in plain if value == one), None)
    return None
