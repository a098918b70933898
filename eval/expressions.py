"""The value of a LaTeX expression at a few points: equal expressions agree there, others hardly ever. Pure.

Rational arithmetic is exact while numbers stay small, everything else is floating point, and each value is
computed twice with different rounding errors, which shows its accuracy. The time is bounded for any text:
values that get too large do not exist.

Not covered: sums, products and integrals over a range, limits, piecewise definitions.
"""

from __future__ import annotations

import cmath
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from eval import numerals
from eval.latex import WORD, commands, end_of_argument
from eval.numbers import (
    COMPLEX,
    INVERSES,
    Arithmetic,
    NoValueError,
    Number,
    Value,
    binomial,
    double_factorial,
    factorial,
    floor,
    of_several,
    root,
)
from eval.units import UNITS
from eval.words import MULTIPLES, leaves_the_value

POINTS = 8
_MOST_NESTED = 60
_MOST_DOUBT = 1e-7


Words = Literal["units", "no units", "letters"]


@dataclass(frozen=True)
class Reading:
    """How to read what mathematicians write in several ways.

    `school` takes `1/2x` for half of x and ends a function's argument at `*` and `/`; otherwise, as in
    SymPy, factors side by side belong together. Upright words are the units or else the quantities they
    name (`units`), what does not change the value before them (`no units`), or products of their `letters`.
    """

    school: bool = False
    words: Words = "units"


Domain = Literal["positive", "signed", "whole"]
"""What variables stand for: positive numbers, at every other point below 1; of either sign; whole ones."""


def values(tokens: Sequence[str], reading: Reading, domain: Domain = "positive") -> list[Value | None]:
    """The value at each point, none where there is none; raises `NoValueError` for what is no expression."""
    return [_value(tokens, reading, point, domain) for point in range(POINTS)]


def _value(tokens: Sequence[str], reading: Reading, point: int, domain: Domain) -> Value | None:
    try:
        first, second = (
            _Evaluator(tokens, reading, point, domain, errors).value() for errors in (False, True)
        )
        difference = abs(complex(first) - complex(second)) if first != second else 0.0
        size = abs(first) if isinstance(first, complex) else 1.0
    except (ArithmeticError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise NoValueError("too deeply nested") from None
        return None
    doubt = 20 * difference
    usable = math.isfinite(size) and doubt <= _MOST_DOUBT * max(1.0, size)
    return Value(first, doubt) if usable else None


_OPENING = {"(": ")", "{": "}", "[": "]", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\{": r"\}"}
_ENDS = frozenset({*_OPENING.values(), "+", "-", ",", "&", r"\over", r"\choose", ":"})
OHM = r"\Omega"
"""The one unit that is a symbol's command, too."""
FUNCTION = "f"
"""The one letter that is a function where brackets follow it. SymPy's parser takes every letter for one then,
but most are quantities in answers, as in `g(1+x)`."""
_NO_NAMES = commands(
    "begin end cup cap in notin setminus subset subseteq to rightarrow Rightarrow iff implies land lor forall"
    " exists pm mp sum int oint prod lim ldots dots cdots pmod bmod mod equiv perp parallel angle triangle"
    " circ"
) | {r"\\"}
_CONSTANTS: dict[str, complex] = {
    r"\pi": math.pi, "e": math.e, "i": 1j, WORD + "e": math.e, WORD + "i": 1j,
}  # fmt: skip


class _Evaluator:
    """A recursive-descent evaluator of one expression at one point."""

    def __init__(
        self, tokens: Sequence[str], reading: Reading, point: int, domain: Domain, errors: bool
    ) -> None:
        self.tokens, self.reading, self.point, self.domain = list(tokens), reading, point, domain
        self.numbers = Arithmetic(errors)
        self.at = self.depth = self.bars = self.inside = 0

    def value(self) -> Number:
        value = self.ratio()
        if self.at != len(self.tokens):
            raise NoValueError(f"{self.tokens[self.at]!r} is not expected here")
        return value

    # Grammar, from the loosest to the tightest

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise NoValueError(f"{wanted or 'more'} expected, not {token!r}")
        self.at += 1
        return token

    def ratio(self) -> Number:
        """`a:b`, and TeX's `{a \\over b}` and `{n \\choose k}`."""
        self.depth += 1
        if self.depth > _MOST_NESTED:
            raise NoValueError("too deeply nested")
        value = self.sum()
        if self.peek() in (":", r"\over"):
            self.take()
            value = self.numbers.over(value, self.sum())
        elif self.peek() == r"\choose":
            self.take()
            value = self.numbers.kept(binomial(value, self.sum()))
        self.depth -= 1
        return value

    def sum(self) -> Number:
        value = self.product()
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self.product()
            value = self.numbers.plus(value, term if sign == "+" else -term)
        return value

    def product(self) -> Number:
        value = self.signed_factor()
        while self.more_factors():
            if self.peek() in ("*", "/"):
                operation = self.numbers.times if self.take() == "*" else self.numbers.over
                value = operation(value, self.signed_factor())
            else:
                value = self.numbers.times(value, self.power())
        return value

    def signed_factor(self) -> Number:
        sign = 1
        while self.peek() in ("+", "-"):
            sign *= -1 if self.take() == "-" else 1
        numeral = self.peek()[:1].isdigit()
        value = self.power() if self.reading.school and numeral else self.side_by_side()
        return value if sign > 0 else -value

    def side_by_side(self) -> Number:
        value = self.power()
        while self.more_factors() and self.peek() not in ("*", "/"):
            value = self.numbers.times(value, self.power())
        return value

    def more_factors(self) -> bool:
        token = self.peek()
        return bool(token) and token not in _ENDS and not (token == "|" and self.bars)

    def power(self) -> Number:
        begin = self.at
        value = self.atom()
        if self.at == begin + 1 and self.tokens[begin].isdecimal():
            value = self.numbers.plus(value, self.taken(numerals.mixed))
        if self.is_numeral(begin) and self.is_numeral(self.at):
            raise NoValueError("numerals side by side are no product")
        while self.peek() in ("!", "^"):
            if self.take() == "!":
                double = self.peek() == "!" and bool(self.take())
                value = self.numbers.kept(double_factorial(value) if double else factorial(value))
            else:
                value = self.numbers.to_the(value, self.exponent())
        return value

    def exponent(self) -> Number:
        """What stands after `^`: unlike TeX, all digits of a numeral."""
        sign = -1 if self.peek() in ("+", "-") and self.take() == "-" else 1
        return self.atom() * sign

    def group(self) -> Number:
        opening = self.take()
        bars, self.bars = self.bars, 0
        value = self.ratio()
        self.take(_OPENING[opening])
        self.bars = bars
        return value

    def absolute(self) -> Number:
        self.take("|")
        self.bars += 1
        value = self.ratio()
        self.bars -= 1
        self.take("|")
        return abs(value) if isinstance(value, Fraction) else complex(abs(value))

    def atom(self) -> Number:
        token = self.peek()
        if token == "|":
            return self.absolute()
        if token in (r"\lfloor", r"\lceil"):
            value = self.group()
            return self.numbers.kept(floor(value) if token == r"\lfloor" else -floor(-value))
        if (token == "(" or token.isdecimal()) and (based := self.taken(numerals.based)):
            return based
        if token in _OPENING:
            return self.group()
        self.take()
        if token[:1].isdigit() or token[:1] == ".":
            return self.numeral(token)
        if token.startswith("\\") and (known := self.command(token[1:])) is not None:
            return known
        if token in _CONSTANTS and self.peek() not in ("_", "'"):
            return self.numbers.kept(_CONSTANTS[token])
        if token == OHM and self.reading.words == "no units":
            return Fraction(1)
        return self.word(token) if token.startswith(WORD) else self.variable(token)

    def numeral(self, token: str) -> Number:
        value = numerals.fraction(token)
        if self.peek().startswith((r"\overline ", r"\dot ")):
            value += numerals.recurring(self.take().partition(" ")[2], token)
        return self.numbers.kept(value)

    def is_numeral(self, at: int) -> bool:
        return at < len(self.tokens) and self.tokens[at][:1].isdigit()

    def taken(self, read: Callable[[Sequence[str]], tuple[Fraction, int]]) -> Fraction:
        """What `read` finds ahead, taken."""
        value, length = read(self.tokens[self.at : self.at + numerals.AHEAD])
        self.at += length
        return value

    def command(self, name: str) -> Number | None:
        """The value of what a command begins, none where it is the name of a variable."""
        if name == "frac":
            above = self.argument()
            return self.numbers.over(above, self.argument())
        if name == "binom":
            above = self.argument()
            return self.numbers.kept(binomial(above, self.argument()))
        if name == "sqrt":
            degree = self.group() if self.peek() == "[" else Fraction(2)
            return self.numbers.kept(root(self.argument(), degree))
        if name in ("max", "min", "gcd", "lcm"):
            return self.of_several(name)
        if name.startswith("overline ") and name[9:].isdecimal():
            return Fraction(int(name[9:]))
        return self.function(name) if name in COMPLEX else None

    def of_several(self, name: str) -> Number:
        if self.peek() not in _OPENING:
            raise NoValueError(f"{name} of what is expected")
        return self.numbers.kept(of_several(name, self.list_of_values()))

    def list_of_values(self) -> list[Number]:
        """The values between brackets."""
        closing = _OPENING[self.take()]
        bars, self.bars = self.bars, 0
        found = [self.sum()]
        while self.peek() == ",":
            self.take()
            found.append(self.sum())
        self.take(closing)
        self.bars = bars
        return found

    def argument(self) -> Number:
        """A braced group, or as LaTeX has it, the next digit or name."""
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1 and token.isdigit():
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return self.atom()

    def function(self, name: str) -> Number:
        base: Number | None = None
        power: Number = Fraction(1)
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                base = self.argument()
            else:
                power = self.exponent()
        if power == -1 and name in INVERSES:
            name, power = INVERSES[name], Fraction(1)
        self.inside += 1
        value = self.numbers.kept(COMPLEX[name](complex(self.function_argument())))
        self.inside -= 1
        if base is not None:
            value = self.numbers.over(value, self.numbers.kept(cmath.log(complex(base))))
        return value if power == 1 else self.numbers.to_the(value, power)

    def function_argument(self) -> Number:
        """A bracketed group, or the factors up to the next function."""
        if self.peek() in ("(", "[") or (self.peek() == "{" and self.reading.school):
            return self.group()
        sign = -1 if self.peek() in ("+", "-") and self.take() == "-" else 1
        value = self.power()
        while self.more_factors() and not self.function_ahead():
            if self.peek() in ("*", "/"):
                if self.reading.school or self.function_ahead(1):
                    break
                operation = self.numbers.times if self.take() == "*" else self.numbers.over
                value = operation(value, self.power())
            else:
                value = self.numbers.times(value, self.power())
        return value if sign > 0 else -value

    def function_ahead(self, distance: int = 0) -> bool:
        ahead = self.tokens[self.at + distance : self.at + distance + 1]
        return bool(ahead) and ahead[0][1:] in COMPLEX and ahead[0][0] == "\\"

    # Names

    def word(self, token: str) -> Number:
        letters = token[len(WORD) :]
        if letters in ("degree", "percent") and (self.inside or self.reading.words != "no units"):
            return self.unit(letters)
        if self.reading.words == "units" and letters in UNITS:
            return self.unit(letters)
        if letters in MULTIPLES and self.reading.words != "letters":
            return MULTIPLES[letters]
        if self.reading.words == "no units":
            if not leaves_the_value(self.tokens, self.at - 1):
                raise NoValueError(f"{letters!r} is no unit of a value")
            return Fraction(1)
        return self.product_of(letters) if self.reading.words == "letters" else self.variable(letters)

    def unit(self, letters: str) -> Number:
        factor, dimensions = UNITS[letters]
        value: Number = self.numbers.kept(complex(factor))
        for base, power in dimensions.items():
            value = self.numbers.times(
                value, self.numbers.to_the(self.somewhere("unit " + base), Fraction(power))
            )
        return value

    def product_of(self, letters: str) -> Number:
        first, last = letters[:-1], letters[-1:]
        value: Number = Fraction(1)
        for letter in first:
            value = self.numbers.times(value, self.somewhere(letter))
        return self.numbers.times(value, self.variable(last))

    def variable(self, name: str) -> Number:
        """The value of a name with its primes and subscripts."""
        if not (name[0].isalpha() or name.startswith("\\")) or name in _NO_NAMES:
            raise NoValueError(f"{name!r} is not expected here")
        while self.peek() in ("_", "'"):
            name += self.subscript() if self.take() == "_" else "'"
        if name.rstrip("'") == FUNCTION and self.peek() == "(":
            # Any number, but the same one for arguments that are equal up to their rounding errors.
            return self.somewhere(f"{name}({[f'{complex(one):.8g}' for one in self.list_of_values()]})")
        return self.somewhere(name)

    def subscript(self) -> str:
        """A subscript's value where it is computed, otherwise its symbols without what only groups them."""
        if self.peek() != "{":
            return "_" + self.take().lstrip(WORD + "\\")
        if (computed := self.computed_subscript()) is not None:
            return f"_{computed:.12g}"
        depth, parts = 0, ["_"]
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if depth == 0:
                return "".join(parts)
            parts.append(token.lstrip(WORD + "\\") if token not in "{}" else "")

    def computed_subscript(self) -> complex | None:
        """The value of a subscript like `n+1` or `\\frac12`, taken; none where it is only a name."""
        begin, end = self.at, end_of_argument(self.tokens, self.at)
        if not {"+", "-", "/", "*", r"\frac"} & {*self.tokens[begin:end]}:
            return None
        try:
            return complex(self.group())
        except (NoValueError, ArithmeticError):
            self.at = begin
            return None

    def somewhere(self, name: str) -> Fraction:
        drawn = random.Random(f"{name}/{self.point}")
        number, negative = drawn.randint(2, 97), drawn.random() < 0.5
        if self.domain == "whole":
            return Fraction(number)
        value = Fraction(number, 101 if self.point % 2 else 11)
        return -value if self.domain == "signed" and negative else value
