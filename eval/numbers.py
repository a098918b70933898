"""Numbers that are exact while they can be, and functions of them that take no time. Pure."""

from __future__ import annotations

import cmath
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Number = Fraction | complex
MOST_BITS = 1 << 15
_MOST_WORK = 1 << 20
_ROUNDING = 1e-13
_MOST_FACTORIAL = 3000


class NoValueError(ValueError):
    """The tokens are no expression, or one whose value is out of reach."""


@dataclass(frozen=True)
class Value:
    """A number and how far its rounding errors may reach."""

    number: Number
    doubt: float

    def close(self, other: Value, tolerance: float, relative: bool) -> bool:
        """Whether both are the same within the tolerance and their rounding errors; whole numbers exactly."""
        one, two = self.number, other.number
        if isinstance(one, Fraction) and isinstance(two, Fraction):
            if relative and one.denominator == two.denominator == 1:
                return one == two
            size = min(Fraction(1), max(abs(one), abs(two))) if relative else Fraction(101, 100)
            return abs(one - two) <= Fraction(tolerance) * size
        try:
            one, two = complex(one), complex(two)
        except OverflowError:
            return False
        allowed = tolerance * (min(1, max(abs(one), abs(two))) if relative else 1.01)
        return abs(one - two) <= max(allowed, self.doubt + other.doubt)

    @property
    def is_real(self) -> bool:
        if isinstance(self.number, Fraction):
            return True
        return abs(self.number.imag) <= self.doubt + 1e-9 * abs(self.number)


class Arithmetic:
    """The operations of one computation, which raises `NoValueError` when it gets too large.

    With `errors` each inexact result is off by a few parts in 10^13, always by the same ones.
    """

    def __init__(self, errors: bool) -> None:
        self.random = random.Random(0) if errors else None
        self.work = 0

    def kept(self, number: Number) -> Number:
        """A result, if it is small enough."""
        if isinstance(number, Fraction):
            bits = number.numerator.bit_length() + number.denominator.bit_length()
            self.work += bits
            if bits > MOST_BITS or self.work > _MOST_WORK:
                raise NoValueError("too large")
            return number
        return number if self.random is None else number * (1 + _ROUNDING * self.random.uniform(-1, 1))

    def plus(self, one: Number, two: Number) -> Number:
        if isinstance(one, Fraction) and isinstance(two, Fraction):
            return self.kept(one + two)
        return self.kept(complex(one) + complex(two))

    def times(self, one: Number, two: Number) -> Number:
        if isinstance(one, Fraction) and isinstance(two, Fraction):
            return self.kept(one * two)
        return self.kept(complex(one) * complex(two))

    def over(self, one: Number, two: Number) -> Number:
        return self.times(one, 1 / two)

    def to_the(self, base: Number, exponent: Number) -> Number:
        if not (isinstance(base, Fraction) and isinstance(exponent, Fraction)):
            return self.kept(complex(base) ** complex(exponent))
        if exponent.denominator == 1:
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if (bits - 1) * abs(exponent) > MOST_BITS:
                raise NoValueError("too large")
            return self.kept(Fraction(base ** int(exponent)))
        if base >= 0 and exponent.numerator == 1:
            return self.kept(root(base, 1 / exponent))
        return self.kept(complex(base) ** complex(exponent))


# Functions ----------------------------------------------------------------------------------------


def _inverse(function: Callable[[complex], complex]) -> Callable[[complex], complex]:
    return lambda x: 1 / function(x)


COMPLEX: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "cot": _inverse(cmath.tan), "exp": cmath.exp,
    "sec": _inverse(cmath.cos), "csc": _inverse(cmath.sin), "sinh": cmath.sinh, "cosh": cmath.cosh,
    "tanh": cmath.tanh, "arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan, "ln": cmath.log,
    "log": cmath.log, "lg": cmath.log10, "arccot": lambda x: math.pi / 2 - cmath.atan(x),
    "coth": _inverse(cmath.tanh), "sech": _inverse(cmath.cosh), "csch": _inverse(cmath.sinh),
    "arcsec": lambda x: cmath.acos(1 / x), "arccsc": lambda x: cmath.asin(1 / x),
    "arcsinh": cmath.asinh, "arccosh": cmath.acosh, "arctanh": cmath.atanh,
    "arsinh": cmath.asinh, "arcosh": cmath.acosh, "artanh": cmath.atanh,
}  # fmt: skip
INVERSES = {name: f"arc{name}" for name in COMPLEX if f"arc{name}" in COMPLEX}
"""What `\\sin^{-1}` is."""


def whole(number: Number) -> int | None:
    """The number if it is a whole one, exactly."""
    return int(number) if isinstance(number, Fraction) and number.denominator == 1 else None


def of_several(name: str, numbers: Sequence[Number]) -> Number:
    """`max`, `min`, `gcd` or `lcm`."""
    if name in ("max", "min"):
        return (max if name == "max" else min)(numbers, key=real)
    integers = [whole(number) for number in numbers]
    if None in integers:
        raise ArithmeticError("not a whole number")
    return Fraction((math.gcd if name == "gcd" else math.lcm)(*(number for number in integers if number)))


def real(number: Number) -> float:
    if isinstance(number, Fraction):
        return float(number)
    if abs(number.imag) > 1e-9 * max(1.0, abs(number)):
        raise ArithmeticError("not a real number")
    return number.real


def floor(number: Number) -> Number:
    if isinstance(number, Fraction):
        return Fraction(math.floor(number))
    value = real(number)
    near = round(value)
    return Fraction(near if abs(value - near) < 1e-9 * max(1.0, abs(value)) else math.floor(value))


def factorial(number: Number) -> Number:
    n = whole(number)
    if n is None or n < 0:
        return complex(math.gamma(real(number) + 1))
    if n > _MOST_FACTORIAL:
        raise ArithmeticError("too large")
    return Fraction(math.factorial(n))


def double_factorial(number: Number) -> Number:
    n = whole(number)
    if n is None or not -1 <= n <= _MOST_FACTORIAL:
        raise ArithmeticError("not a whole number, or too large")
    return Fraction(math.prod(range(n, 1, -2)))


def binomial(above: Number, below: Number) -> Number:
    n, k = whole(above), whole(below)
    if n is None or k is None or n < 0:
        one, two = real(above), real(below)
        return complex(math.gamma(one + 1) / (math.gamma(two + 1) * math.gamma(one - two + 1)))
    if n > MOST_BITS:
        raise ArithmeticError("too large")
    return Fraction(math.comb(n, k) if k >= 0 else 0)


def root(number: Number, degree: Number) -> Number:
    """The principal root; of negative real numbers the real one if there is one."""
    n = whole(degree)
    if isinstance(number, Fraction) and n is not None and 0 < n < 64:
        if number < 0 and n % 2:
            return -root(-number, degree)
        if number >= 0:
            above, below = _whole_root(number.numerator, n), _whole_root(number.denominator, n)
            if above is not None and below is not None:
                return Fraction(above, below)
    value = complex(number)
    if n is not None and n % 2 and value.real < 0 and abs(value.imag) <= 1e-12 * abs(value):
        return complex(-((-value.real) ** (1 / n)))
    return value ** (1 / complex(degree))


def _whole_root(number: int, degree: int) -> int | None:
    found = math.isqrt(number) if degree == 2 else round(number ** (1 / degree))
    return found if found**degree == number else None
