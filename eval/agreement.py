"""Whether two expressions have the same value wherever they are tested. Pure.

Where a notation has two readings (`1/2x`, a unit that only one side names) either one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache, partial
from itertools import pairwise, product

from eval.expressions import OHM, Domain, Reading, Words, values
from eval.latex import WORD, Tokens
from eval.numbers import NoValueError, Number, Value

_CLOSE_ENOUGH = 1e-8
_CONSTANT = 1e-12
"""How far the quotient of two equations may vary beyond its rounding errors."""
_WHOLE_NAMES = frozenset("ijkmn")


@lru_cache(maxsize=512)
def _known(found: Tokens, reading: Reading, domain: Domain = "positive") -> list[Value | None]:
    return values(found, reading, domain)


def number(found: Tokens) -> Number | None:
    """The value of what is a number, none of what has variables or no value."""
    try:
        first, second, third, *_ = _known(found, Reading())
    except NoValueError:
        return None
    return first.number if first is not None and first == second == third else None


def proportional(one: Tokens, two: Tokens, *, positive: bool) -> bool:
    """Whether the quotient of both is the same number at every tested point."""
    quotient = ("(", *one, ")", "/", "(", *two, ")")
    try:
        tested = [value for domain in _domains(quotient) for value in _known(quotient, Reading(), domain)]
        found = [value for value in tested if value is not None]
        first = complex(found[0].number) if len(found) > 2 else 0j
    except (NoValueError, OverflowError):
        return False
    if abs(first) <= _CONSTANT or (positive and first.real <= 0):
        return False
    return all(_constant(value, found[0]) for value in found)


def _constant(one: Value, two: Value) -> bool:
    """Whether two values of a quotient are the same: exact ones exactly, since a large or small constant
    in an equation leaves the quotient nearly the same everywhere."""
    if isinstance(one.number, Fraction) and isinstance(two.number, Fraction):
        return one.number == two.number
    return one.close(two, _CONSTANT, relative=True)


def same_value(given: Tokens, expected: Tokens, error: float | None) -> bool:
    """Whether both have the same value under one of the readings that are possible."""
    schools = [(False, True) if _ambiguous(found) else (False,) for found in (given, expected)]
    same = partial(_same_reading, given, expected)
    return any(
        same(allowed, Reading(mine, words), Reading(other, words))
        for words, allowed in _word_readings(given, expected, error)
        for mine, other in product(*schools)
    )


def _ambiguous(found: Tokens) -> bool:
    return "/" in found or "*" in found


def _word_readings(given: Tokens, expected: Tokens, error: float | None) -> list[tuple[Words, float | None]]:
    """The readings of upright words that are possible, each with the error that holds in it.

    A data set's error is in the unit of the answer: it holds where both name the same one, or one names none,
    and not between different units.
    """
    words = [
        [token for token in found if token.startswith(WORD) or token == OHM] for found in (given, expected)
    ]
    if not any(words):
        return [("units", error)]
    if any(all(token.startswith(WORD) for token in found) for found in (given, expected)):
        return [("units", None)]
    if error is not None:
        comparable = words[0] == words[1] or not all(words)
        return [("no units", error if comparable else None), ("units", None), ("letters", None)]
    readings: list[Words] = ["units", "letters"] if all(words) else ["units", "no units", "letters"]
    return [(reading, None) for reading in readings]


def _same_reading(
    given: Tokens, expected: Tokens, error: float | None, mine: Reading, other: Reading
) -> bool:
    """Whether the values agree wherever both are known and, if there are such points, real. Where bars
    ask for numbers of either sign, both must be real at the same points."""
    for domain in _domains(given + expected):
        try:
            pairs = list(zip(_known(given, mine, domain), _known(expected, other, domain), strict=True))
        except NoValueError:
            return False
        both = [(one, two) for one, two in pairs if one is not None and two is not None]
        if domain == "signed" and any(one.is_real != two.is_real for one, two in both):
            return False
        both = [(one, two) for one, two in both if one.is_real and two.is_real] or both
        if len(both) < 2 or not all(_close(one, two, error) for one, two in both):
            return False
    return True


def _domains(found: Tokens) -> Iterator[Domain]:
    """The domains to test: absolute values differ for negative numbers, and rounded ones for whole numbers;
    divisors and double factorials are of whole numbers only."""
    rounded = r"\lfloor" in found or r"\lceil" in found
    if {r"\gcd", r"\lcm"} & {*found} or ("!", "!") in pairwise(found) or (rounded and _are_whole(found)):
        yield "whole"
        return
    yield "positive"
    if "|" in found:
        yield "signed"
    if rounded:
        yield "whole"


def _are_whole(found: Tokens) -> bool:
    """Whether all variables have the usual names of whole numbers."""
    return {token for token in found if len(token) == 1 and token.isalpha()} <= _WHOLE_NAMES


def _close(one: Value, two: Value, error: float | None) -> bool:
    return one.close(two, _CLOSE_ENOUGH if error is None else error, relative=error is None)
