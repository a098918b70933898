"""The value of a LaTeX expression at random points: equal expressions agree there, others hardly ever. Pure.

Floating point throughout, so no text can make it compute for long: a tower of powers overflows and has
no value. Not covered: matrices, sums and integrals over a range, piecewise definitions.
"""

from __future__ import annotations

import cmath
import math
import random
import re
from collections.abc import Callable

POINTS = 3


def values(text: str) -> list[complex]:
    """The expression's value at each point; none where it is no expression."""
    try:
        found = [_Expression(text, point).value() for point in range(POINTS)]
    except (ValueError, ArithmeticError, RecursionError, TypeError):
        return []
    return found if all(cmath.isfinite(value) for value in found) else []


_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "\\sin": cmath.sin, "\\cos": cmath.cos, "\\tan": cmath.tan, "\\ln": cmath.log, "\\exp": cmath.exp,
    "\\cot": lambda x: 1 / cmath.tan(x), "\\arctan": cmath.atan, "\\arcsin": cmath.asin,
    "\\arccos": cmath.acos, "\\log": cmath.log,
}  # fmt: skip
_CONSTANTS: dict[str, complex] = {"\\pi": math.pi, "π": math.pi, "e": math.e, "i": 1j}
_TOKEN = re.compile(r"\\[A-Za-z]+|\d+\.?\d*|\.\d+|[A-Za-zπ]|[-+*/^_!|(){}\[\]]")


class _Expression:
    """A recursive-descent evaluator of one expression; names get a value that depends on `point`."""

    def __init__(self, text: str, point: int) -> None:
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens) != text:
            raise ValueError(f"{text!r}: not an expression")
        self.at, self.point = 0, point

    def value(self) -> complex:
        value = self.sum()
        if self.at != len(self.tokens):
            raise ValueError(f"{self.tokens[self.at]!r} is not expected here")
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"{wanted or 'more'} expected, not {token!r}")
        self.at += 1
        return token

    def sum(self) -> complex:
        value = self.product()
        while self.peek() in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self) -> complex:
        value = self.signed()
        while (token := self.peek()) and token not in "+-)}]|":
            if token in "*/":
                self.take()
                value = value * self.signed() if token == "*" else value / self.signed()
            else:
                value *= self.power()
        return value

    def signed(self) -> complex:
        if self.peek() in ("+", "-"):
            return self.signed() if self.take() == "+" else -self.signed()
        return self.power()

    def power(self) -> complex:
        value = self.atom()
        while self.peek() == "!":
            self.take()
            value = math.gamma(value.real + 1)
        if self.peek() == "^":
            self.take()
            exponent = self.signed() if self.peek() in ("+", "-") else self.power()
            return complex(value) ** exponent
        return value

    def group(self, closing: str) -> complex:
        self.take()
        value = self.sum()
        self.take(closing)
        return value

    def atom(self) -> complex:
        token = self.peek()
        if token in ("(", "{", "["):
            return self.group({"(": ")", "{": "}", "[": "]"}[token])
        if token == "|":
            return abs(self.group("|"))
        self.take()
        if token[0].isdigit() or token[0] == ".":
            return float(token)
        if token == "\\frac":
            return self.argument() / self.argument()
        if token == "\\binom":
            above, below = self.argument().real, self.argument().real
            return math.gamma(above + 1) / (math.gamma(below + 1) * math.gamma(above - below + 1))
        if token == "\\sqrt":
            degree = self.group("]") if self.peek() == "[" else 2
            return complex(self.argument()) ** (1 / degree)
        if token in _FUNCTIONS:
            return self.function(token)
        return _CONSTANTS[token] if token in _CONSTANTS else self.variable(token)

    def argument(self) -> complex:
        """A braced group, or as LaTeX has it, the next digit or name."""
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return self.atom()

    def function(self, name: str) -> complex:
        base: complex = math.e
        power: complex = 1
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                base = self.argument()
            else:
                power = self.argument()
        value = _FUNCTIONS[name](self.power())
        return complex(value / cmath.log(base) if name == "\\log" else value) ** power

    def variable(self, name: str) -> complex:
        if not (name.isalpha() or name.startswith("\\")):
            raise ValueError(f"{name!r} is not expected here")
        while self.peek() == "_":
            self.take()
            start = self.at
            self.argument()
            name += "_" + "".join(self.tokens[start : self.at]).strip("{}")
        return random.Random(f"{name}/{self.point}").uniform(0.5, 2.0)
