r"""Numerals, and what belongs to them: recurring digits, mixed numbers like `1\\frac12`, bases. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from eval.numbers import NoValueError

_MOST_TENS = 400
AHEAD = 9
"""So many tokens the longest of them takes."""
_MIXED = re.compile(r"\\frac (?:\{ (\d+) \} |(\d) ?)(?:\{ (\d+) \}|(\d))(?: |$)")
_MIXED_IN_LINE = re.compile(r"(\d+) / (\d+)(?= |$)")
_BASED = re.compile(r"(?:\( )?(\d+) (?:\) )?_ (?:(\d+)|\{ (?:\( )?(\d+) (?:\) )?\})(?= |$)")


def fraction(token: str) -> Fraction:
    """The value of a numeral like `12`, `.5` or `1e-3`."""
    mantissa, _, exponent = token.lower().partition("e")
    if exponent and abs(int(exponent)) > _MOST_TENS:
        raise NoValueError("too large")
    try:
        return Fraction(mantissa.rstrip(".") or "0") * Fraction(10) ** int(exponent or 0)
    except ValueError as error:
        raise NoValueError(f"{token!r} is no numeral") from error


def recurring(digits: str, numeral: str) -> Fraction:
    """What digits that recur behind a numeral add to it."""
    if not digits.isdecimal() or "." not in numeral:
        raise NoValueError("no recurring digits")
    places = len(numeral.partition(".")[2])
    return Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)


def mixed(tokens: Sequence[str]) -> tuple[Fraction, int]:
    """The proper fraction that follows a whole number, as in `1\\frac12` and `1 1/2`, and how many tokens it
    takes; none of either where there is none."""
    text = " ".join(tokens)
    match = _MIXED.match(text) or _MIXED_IN_LINE.match(text)
    above, below = [int(part) for part in match.groups() if part] if match else (0, 0)
    if match is None or not 0 < above < below:
        return Fraction(0), 0
    return Fraction(above, below), len(match.group().split())


def based(tokens: Sequence[str]) -> tuple[Fraction, int]:
    """The value of digits with the base they are written in, as in `101_2` or `(101)_{2}`, and how many
    tokens they take; no tokens where there are none."""
    match = _BASED.match(" ".join(tokens))
    if match is None:
        return Fraction(0), 0
    digits, *bases = match.groups()
    base = int(next(filter(None, bases)))
    if not 2 <= base <= 36:
        raise NoValueError(f"no base {base}")
    try:
        return Fraction(int(digits, base)), len(match.group().split())
    except ValueError as error:
        raise NoValueError(f"no digits to base {base}") from error
