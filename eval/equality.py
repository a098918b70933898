r"""Whether two LaTeX answers mean the same: lists, tuples, intervals, relations and values. Pure.

Where a notation has two readings (`1/2x`, `1,000`, a unit that only one side names) either one counts.

Not covered: sets given by a condition, unions of intervals that touch, answers in words beyond their letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import product

from eval.answers import boxes
from eval.expressions import OHM, Domain, Reading, Words, values
from eval.latex import WORD, Tokens, replaced, tokens
from eval.numbers import NoValueError, Value
from eval.structure import bare, depths, is_group, is_name, is_quantity, outer, outside, split

_CLOSE_ENOUGH = 1e-8
_MOST_ITEMS, _MOST_NESTED = 40, 60
_IN_A_CHAIN = 0.05
"""How far rounded numbers in `\\sqrt2 \\approx 1.4` may lie apart, as a fraction."""
_EQUAL, _SMALLER, _LARGER = ("=", "~"), ("<", "<="), (">", ">=")
_UNEQUAL = (*_SMALLER, *_LARGER, "!=")
_RELATIONS = (*_EQUAL, *_UNEQUAL, r"\in", r"\equiv", r"\to")
_WORDS = tuple(WORD + word for word in ("and", "or", "for", "where", "with"))
_SEPARATORS = (",", ";", r"\\", r"\lor", r"\land", *_WORDS)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_ONE_WORD = frozenset({"yes", "no", "true", "false", "none"})

Errors = Sequence[float | None]


def equal(given: str, expected: str, errors: Errors = ()) -> bool:
    """Whether two LaTeX answers mean the same.

    Lists and sets are equal in any order, `\\pm` stands for both signs, and tuples and intervals must agree
    in order and brackets. Numbers may differ by the data set's absolute `errors` (one, or one for each item
    of the expected list). Where there is none, they may by 10^-8, and below 1 by 10^-8 of themselves; whole
    numbers may not.
    """
    if given.strip() == expected.strip():
        return True
    try:
        pairs = list(product(_readings(given), _readings(expected)))
        return any(_same_lists(one, two, errors) for one, two in pairs)
    except (ValueError, RecursionError):
        return False


def _readings(text: str) -> Iterator[Tokens]:
    """The tokens of the answer in a text, and of one where commas group digits if they may."""
    text = _stated(text)
    yield _read(text)
    if _THOUSANDS.search(text):
        yield _read(_THOUSANDS.sub(lambda match: match.group().replace(",", ""), text))


def _stated(text: str) -> str:
    """What a text's boxes hold, or the formulas of its last line, where it has any; otherwise the text."""
    lines = text.strip().splitlines() or [""]
    found = boxes(text) or re.findall(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$", lines[-1])
    return ",".join(found) if found else text


def _read(text: str) -> Tokens:
    found = tokens(text)
    if max(depths(found), default=0) > _MOST_NESTED:
        raise ValueError("too deeply nested to be an answer")
    if not any("mod" in token for token in found):
        found = tuple(replaced(found, (r"\equiv",), ("=",)))
    return outer(found)


# Lists --------------------------------------------------------------------------------------------


def _items(found: Tokens) -> list[Tokens]:
    """The answers that a list, a set, a union or a `\\pm` stands for."""
    found = outer(_members(found))
    if is_group(found, (r"\{",)):
        held = split(found[1:-1], ("|", ":"))
        found = held[-1] if len(held) == 1 or is_name(split(held[0], (r"\in",))[0]) else found
    parts = [outer(part) for part in split(found, (r"\cup", *_SEPARATORS)) if part]
    if len(parts) > _MOST_ITEMS:
        raise ValueError(f"{len(parts)} answers are none")
    wanted = [part for part in parts if not _is_condition(part, parts)] or parts
    return [signed for part in wanted for signed in _signed(_unconditional(part))]


def _members(found: Tokens) -> Tokens:
    """What a variable is said to lie in; the tokens themselves where none is."""
    sides = split(found, (r"\in",))
    return sides[1] if len(sides) == 2 and is_name(outer(sides[0])) else found


def _is_condition(part: Tokens, parts: Sequence[Tokens]) -> bool:
    """Whether an item only says where another item's variable lies, `k \\in Z` or `k > 0`."""
    names = split(part, (r"\in", *_UNEQUAL)) if set(part) & {r"\in", *_UNEQUAL} else []
    return any(
        len(name) == 1 and is_name(name) and name[0] in other
        for name in names
        for other in parts
        if other is not part and not set(other) & {*_UNEQUAL}
    )


def _unconditional(part: Tokens) -> Tokens:
    """An answer without what stands behind it in brackets, as in `k\\pi (k \\in \\mathbb Z)`."""
    begin = max((at for at, depth in enumerate(depths(part)) if not depth and part[at] == "("), default=0)
    stated = set(part[begin:]) & {r"\in", *_UNEQUAL}
    return part[:begin] if begin and part[-1] == ")" and stated else part


def _signed(part: Tokens) -> list[Tokens]:
    if r"\pm" not in part and r"\mp" not in part:
        return [part]
    signs = (("+", "-"), ("-", "+"))
    return [
        tuple(plus if token == r"\pm" else minus if token == r"\mp" else token for token in part)
        for plus, minus in signs
    ]


def _same_lists(given: Tokens, expected: Tokens, errors: Errors) -> bool:
    """Whether the items of both can be paired."""
    if not given or not expected:
        return False
    if given == expected:
        return True
    mine, other = _items(given), _items(expected)
    if (parts := _as_tuples(mine, other)) is not None:
        return all(_same(one, two, None) for one, two in zip(*parts, strict=True))
    if len(mine) != len(other):
        return False
    if _is_union(given) != _is_union(expected) and not _has_relation(mine + other):
        return False
    rest = list(zip(other, _for_each(errors, len(other)), strict=True))
    for one in mine:
        match = next((pair for pair in rest if _same(one, pair[0], pair[1])), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def _as_tuples(mine: list[Tokens], other: list[Tokens]) -> tuple[list[Tokens], list[Tokens]] | None:
    """The parts of both if one is a tuple and the other says what its parts are called: `x = 1, y = 2` and
    `(1, 2)` or `(x, y) = (1, 2)`. Names that are not in their usual order may belong to other places."""
    for named, whole in ((mine, other), (other, mine)):
        sides = [split(item, ("=",)) for item in named]
        if len(named) < 2 or len(whole) != 1 or any(len(side) != 2 or not is_name(side[0]) for side in sides):
            continue
        names, values = [side[0] for side in sides], [side[1] for side in sides]
        *left, right = split(whole[0], ("=",))
        if not is_group(right, ("(",)) or right[-1] != ")" or len(left) > 1 or names != sorted(set(names)):
            return None
        called = split(left[0][1:-1], (",",)) if left and is_group(left[0]) else names
        parts = split(right[1:-1], (",",))
        if called == names and len(parts) == len(names):
            return (values, parts) if named is mine else (parts, values)
    return None


def _for_each(errors: Errors, items: int) -> Errors:
    """An error for each of the items; where the data set gives another number of them, its largest."""
    known = [error for error in errors if error is not None]
    return errors if len(errors) == items else [max(known, default=None)] * items


def _is_union(found: Tokens) -> bool:
    return len(split(_members(found), (r"\cup",))) > 1


def _has_relation(parts: Sequence[Tokens]) -> bool:
    return any(len(split(part, _RELATIONS)) > 1 for part in parts)


# Single answers -----------------------------------------------------------------------------------


def _same(given: Tokens, expected: Tokens, error: float | None) -> bool:
    """Whether one answer means the same as another, both without lists."""
    given, expected = outer(given), outer(expected)
    if bare(given) == bare(expected) or _same_words(given, expected):
        return True
    mine, other = _related(given), _related(expected)
    if not mine and not other:
        return _same_group(given, expected, error) or _same_value(given, expected, error)
    if mine and other:
        return _same_relation(given, expected, error)
    if mine:
        return _states(given, expected, error, any_left=True)
    return _states(expected, given, error, any_left=False)


def _related(found: Tokens) -> list[str]:
    """The relations outside of all brackets."""
    return [token for token in outside(found) if token in _RELATIONS]


def _same_words(given: Tokens, expected: Tokens) -> bool:
    """Whether both are the same letters, or the same words in any case."""
    one, two = _only_letters(given), _only_letters(expected)
    worded = any(token.startswith(WORD) for token in given + expected) or one.casefold() in _ONE_WORD
    return one == two != "" or (len(one) > 1 and worded and one.casefold() == two.casefold())


def _only_letters(found: Tokens) -> str:
    """The letters of upright words and names; nothing where there is anything else but brackets."""
    letters = [token.lstrip(WORD) for token in found if token not in ("(", ")")]
    return "".join(letters) if all(token.isalpha() for token in letters) else ""


def _same_group(given: Tokens, expected: Tokens, error: float | None) -> bool:
    """Whether both are tuples or intervals with the same brackets and parts."""
    if not (is_group(given) and is_group(expected)) or (given[0], given[-1]) != (expected[0], expected[-1]):
        return False
    mine, other = (split(found[1:-1], (",", ";")) for found in (given, expected))
    if len(mine) != len(other):
        return False
    return all(_same(one, two, error) for one, two in zip(mine, other, strict=True))


def _states(relation: Tokens, answer: Tokens, error: float | None, *, any_left: bool) -> bool:
    """Whether `x = 5`, `m + n = 55`, `x > 2` or `x \\in A` says what the answer says; the left side must be a
    quantity unless `any_left`."""
    kinds, sides = _related(relation), [outer(side) for side in split(relation, _RELATIONS)]
    if kinds == [r"\in"]:
        return is_name(sides[0]) and _same(sides[1], answer, error)
    if set(kinds) <= {*_SMALLER, *_LARGER}:
        interval = _interval(kinds, sides)
        return interval is not None and _same(interval, answer, error)
    if not set(kinds) <= set(_EQUAL):
        return False
    if sides[0] and not any_left and not is_quantity(sides[0]):
        return False
    stated = _values_stated(kinds, sides, is_name(answer))
    numbers = [number for side in stated if (number := _number(side)) is not None]
    if any(abs(number - numbers[0]) > _IN_A_CHAIN * abs(numbers[0]) for number in numbers):
        return False
    one_claim = len(stated) - len(numbers) <= 1
    return any(_same(side, answer, error) for side in (stated if one_claim else stated[-1:]))


def _values_stated(kinds: Sequence[str], sides: Sequence[Tokens], name_wanted: bool) -> list[Tokens]:
    """The sides of equations that may be the answer, without what is only named or given a value."""
    if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]):
        return [sides[1] if name_wanted else sides[0]]
    named = not sides[0] or is_name(sides[0]) or kinds[0] == "="
    return [side for side in (sides[1:] if named else sides) if side]


def _number(side: Tokens) -> complex | None:
    """The value of a side that is a number."""
    try:
        first, second, third, *_ = _known(side, Reading())
    except NoValueError:
        return None
    return complex(first.number) if first is not None and first == second == third else None


def _interval(kinds: list[str], sides: list[Tokens]) -> Tokens | None:
    """The interval that an inequality about one name describes."""
    kinds, sides = _ascending(kinds, sides)
    if len(sides) == 2 and is_name(sides[0]):
        return ("(", "-", r"\infty", ",", *sides[1], "]" if kinds[0] == "<=" else ")")
    if len(sides) == 2 and is_name(sides[1]):
        return ("[" if kinds[0] == "<=" else "(", *sides[0], ",", r"\infty", ")")
    if len(sides) == 3 and is_name(sides[1]):
        low, high = ("[" if kinds[0] == "<=" else "("), ("]" if kinds[1] == "<=" else ")")
        return (low, *sides[0], ",", *sides[2], high)
    return None


def _ascending(kinds: Sequence[str], sides: Sequence[Tokens]) -> tuple[list[str], list[Tokens]]:
    """A chain of inequalities with the smaller sides first."""
    if all(kind in _LARGER for kind in kinds):
        return [kind.replace(">", "<") for kind in reversed(kinds)], list(reversed(sides))
    return list(kinds), list(sides)


def _same_relation(given: Tokens, expected: Tokens, error: float | None) -> bool:
    kinds, sides = zip(
        *(_ascending(_related(found), split(found, _RELATIONS)) for found in (given, expected)), strict=True
    )
    if set(kinds[0] + kinds[1]) <= set(_EQUAL):
        return _same_equation(sides[0], sides[1], error)
    if kinds[0] != kinds[1]:
        return False
    if all(_same(one, two, error) for one, two in zip(*sides, strict=True)):
        return True
    if kinds[0] not in (["<"], ["<="]):
        return False
    return _proportional(_difference(sides[0]), _difference(sides[1]), positive=True)


def _same_equation(mine: list[Tokens], other: list[Tokens], error: float | None) -> bool:
    """Whether both give the same name the same value, or their sides' differences are proportional."""
    if is_name(outer(other[0])) and _same_name(mine[0], other[0]) and _same(mine[-1], other[-1], error):
        return True
    if not len(mine) == len(other) == 2:
        return False
    return _proportional(_difference(mine), _difference(other), positive=False)


def _same_name(one: Tokens, two: Tokens) -> bool:
    one, two = (tuple(token for token in name if token not in "{}") for name in (one, two))
    return one == two


def _difference(sides: Sequence[Tokens]) -> Tokens:
    return (*sides[0], "-", "(", *sides[1], ")")


def _proportional(one: Tokens, two: Tokens, *, positive: bool) -> bool:
    """Whether the quotient of both is the same number at every tested point."""
    try:
        quotient = ("(", *one, ")", "/", "(", *two, ")")
        found = [value for value in _known(quotient, Reading()) if value is not None]
    except NoValueError:
        return False
    if len(found) < 3 or (positive and complex(found[0].number).real <= 0):
        return False
    return abs(complex(found[0].number)) > 1e-12 and all(
        value.close(found[0], 1e-7, relative=True) for value in found
    )


# Values -------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _known(found: Tokens, reading: Reading, domain: Domain = "positive") -> list[Value | None]:
    return values(found, reading, domain)


def _same_value(given: Tokens, expected: Tokens, error: float | None) -> bool:
    """Whether both have the same value under one of the readings that are possible."""
    schools = [(False, True) if _ambiguous(found) else (False,) for found in (given, expected)]
    same = partial(_same_reading, given, expected, error)
    return any(
        same(Reading(mine, words), Reading(other, words))
        for words in _word_readings(given, expected)
        for mine, other in product(*schools)
    )


def _ambiguous(found: Tokens) -> bool:
    return "/" in found or "*" in found


def _word_readings(given: Tokens, expected: Tokens) -> list[Words]:
    worded = [any(token.startswith(WORD) or token == OHM for token in found) for found in (given, expected)]
    if not any(worded):
        return ["units"]
    return ["units", "letters"] if all(worded) else ["units", "no units", "letters"]


def _same_reading(
    given: Tokens, expected: Tokens, error: float | None, mine: Reading, other: Reading
) -> bool:
    """Whether the values agree wherever both are known and, if there are such points, real."""
    for domain in _domains(given + expected):
        try:
            pairs = list(zip(_known(given, mine, domain), _known(expected, other, domain), strict=True))
        except NoValueError:
            return False
        both = [(one, two) for one, two in pairs if one is not None and two is not None]
        both = [(one, two) for one, two in both if one.is_real and two.is_real] or both
        if len(both) < 2 or not all(_close(one, two, error) for one, two in both):
            return False
    return True


def _domains(found: Tokens) -> Iterator[Domain]:
    """The domains to test: absolute values differ for negative numbers, and rounded ones for whole
    numbers."""
    yield "positive"
    if "|" in found:
        yield "signed"
    if r"\lfloor" in found or r"\lceil" in found:
        yield "whole"


def _close(one: Value, two: Value, error: float | None) -> bool:
    return one.close(two, _CLOSE_ENOUGH if error is None else error, relative=error is None)
