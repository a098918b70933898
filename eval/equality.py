r"""Whether two LaTeX answers mean the same: lists, tuples, intervals, relations and values. Pure.

Where a notation has two readings (`1,000`, `2e-1`, a unit that only one side names) either one counts.

Not covered: sets given by a condition, unions of intervals that touch, answers in words beyond their letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product

from eval.agreement import number, proportional, same_value
from eval.answers import boxes, formulas
from eval.latex import MOST_CHARACTERS, WORD, Tokens, replaced, tokens
from eval.lists import (
    LARGER,
    OR,
    SMALLER,
    UNEQUAL,
    as_tuples,
    conditions,
    is_union,
    items,
    named,
    number_set,
    solutions,
)
from eval.structure import bare, depths, is_group, is_name, is_quantity, outer, outside, split

_MOST_NESTED = 60
_ROUNDED, _EXACT = 0.05, 1e-9
"""How far numbers in a chain of equations may lie apart, as a fraction: 1.4 from `\\sqrt2`, and those that
are not rounded."""
_EQUAL = ("=", "~")
_RELATIONS = (*_EQUAL, *UNEQUAL, r"\in", r"\equiv", r"\to")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_EXPONENT = re.compile(r"(?<=\d)e(?=[+-]\d)")
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*10(?=\s*(?:\^|\*\*))")
_EMPHASIS = re.compile(r"(\*\*|__|[*`])(.+)\1", re.DOTALL)
_ONE_WORD = frozenset({"yes", "no", "true", "false", "none"})

Errors = Sequence[float | None]


def equal(given: str, expected: str, errors: Errors = ()) -> bool:
    """Whether two LaTeX answers mean the same.

    Lists and sets are equal in any order, `\\pm` stands for both signs, and tuples and intervals must agree
    in order and brackets. Numbers may differ by the data set's absolute `errors` (one, or one for each item
    of the expected list). Where there is none, they may by 10^-8, and below 1 by 10^-8 of themselves; whole
    numbers may not.

    Never raises: one answer that cannot be computed must not take the scores of all others with it.
    """
    if given.strip() == expected.strip():
        return True
    try:
        return decided(given, expected, errors)
    except Exception:
        return False


def decided(given: str, expected: str, errors: Errors = ()) -> bool:
    """What `equal` says of answers that are not the same text; raises `ValueError` for what is no answer."""
    pairs = list(product(_readings(given), _readings(expected)))
    return any(_same_lists(one, two, errors) for one, two in pairs)


def _readings(text: str) -> Iterator[Tokens]:
    """The tokens of the answer in a text, and of those that other readings of its characters give: commas
    that group digits, an `e` that is the constant, an `x` that multiplies."""
    text = _stated(text)
    yield _read(text)
    if _EXPONENT.search(text):
        yield _read(_EXPONENT.sub(" e ", text))
    if _TIMES.search(text):
        yield _read(_TIMES.sub(r"\\times 10", text))
    if _THOUSANDS.search(text):
        yield _read(_THOUSANDS.sub(lambda match: match.group().replace(",", ""), text))


def _stated(text: str) -> str:
    """What a text's boxes hold, or the formulas of its last line, where it has any; otherwise the text
    without emphasis."""
    if len(text) > MOST_CHARACTERS:
        return text
    found = boxes(text) or formulas(text)
    if found:
        return ",".join(found)
    emphasised = _EMPHASIS.fullmatch(text.strip())
    return emphasised[2] if emphasised else text


def _read(text: str) -> Tokens:
    found = tokens(text)
    if max(depths(found), default=0) > _MOST_NESTED:
        raise ValueError("too deeply nested to be an answer")
    if not any("mod" in token for token in found):
        found = tuple(replaced(found, (r"\equiv",), ("=",)))
    return outer(found)


# Lists --------------------------------------------------------------------------------------------


def _same_lists(given: Tokens, expected: Tokens, errors: Errors) -> bool:
    """Whether the items of both can be paired, and what both say of a variable is the same."""
    if not given or not expected:
        return False
    if given == expected:
        return True
    given, expected = solutions(given), solutions(expected)
    mine, other = items(given), items(expected)
    if (parts := as_tuples(mine, other)) is not None:
        return all(_same(one, two, None) for one, two in zip(*parts, strict=True))
    if len(mine) != len(other):
        mine, other = _distinct(named(mine), given), _distinct(named(other), expected)
    if len(mine) != len(other) or _contradict(conditions(given), conditions(expected)):
        return False
    if is_union(given) != is_union(expected) and not _has_relation(mine + other):
        return False
    rest = list(zip(other, _for_each(errors, len(other)), strict=True))
    for one in mine:
        match = next((pair for pair in rest if _same(one, pair[0], pair[1])), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def _distinct(found: list[Tokens], whole: Tokens) -> list[Tokens]:
    """The items without those that another repeats in a different form, `\\frac34 or 0.75`."""
    if OR not in whole:
        return found
    result = list[Tokens]()
    for item in found:
        result += [] if any(_same(item, one, None) for one in result) else [item]
    return result


def _contradict(mine: dict[str, Tokens], other: dict[str, Tokens]) -> bool:
    """Whether both name other sets of numbers, or other bounds, for the same variable."""
    return any(_differ(mine[name], other[name]) for name in mine.keys() & other.keys())


def _differ(one: Tokens, two: Tokens) -> bool:
    if number_set(one) and number_set(two):
        return number_set(one) != number_set(two)
    kinds = [_ascending(_related(part), split(part, _RELATIONS))[0] for part in (one, two)]
    return kinds[0] == kinds[1] and kinds[0] in (["<"], ["<="], ["!="]) and not _same(one, two, None)


def _for_each(errors: Errors, number: int) -> Errors:
    """An error for each of the items; where the data set gives another number of them, its largest."""
    known = [error for error in errors if error is not None]
    return errors if len(errors) == number else [max(known, default=None)] * number


def _has_relation(parts: Sequence[Tokens]) -> bool:
    return any(len(split(part, _RELATIONS)) > 1 for part in parts)


# Single answers -----------------------------------------------------------------------------------


def _same(given: Tokens, expected: Tokens, error: float | None) -> bool:
    """Whether one answer means the same as another, both without lists."""
    given, expected = outer(given), outer(expected)
    if bare(given) == bare(expected) or _same_words(given, expected):
        return True
    if (r"\pmod" in given) or (r"\pmod" in expected):
        return _same_modulo(given, expected)
    if is_group(given, (r"\{",)) and is_group(expected, (r"\{",)):
        return _same_lists(given[1:-1], expected[1:-1], () if error is None else (error,))
    mine, other = _related(given), _related(expected)
    if not mine and not other:
        return _same_group(given, expected, error) or same_value(given, expected, error)
    if mine and other:
        return _same_relation(given, expected, error)
    if mine:
        return _states(given, expected, error, any_left=True)
    return _states(expected, given, error, any_left=False)


def _same_modulo(given: Tokens, expected: Tokens) -> bool:
    """Whether two congruences about one name are the same, or a number is the one said to be left."""
    (mine, *moduli), (other, *others) = (split(found, (r"\pmod",)) for found in (given, expected))
    one, two = split(mine, (r"\equiv", "=")), split(other, (r"\equiv", "="))
    if not (moduli and others):
        return all(number(side) is not None for side in (*one, *two)) and _same(one[-1], two[-1], None)
    if len(moduli) != 1 or len(others) != 1 or not _same(moduli[0], others[0], None):
        return False
    if [bare(side) for side in one[:-1]] != [bare(side) for side in two[:-1]]:
        return False
    difference = number(("(", *_difference((one[-1], two[-1])), ")", "/", "(", *moduli[0], ")"))
    return difference is not None and difference == difference.real and difference.real % 1 == 0


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
    if not kinds or r"\Rightarrow" in relation:
        return False
    if set(kinds) <= {*SMALLER, *LARGER}:
        interval = _interval(kinds, sides)
        return interval is not None and _same(interval, answer, error)
    if not set(kinds) <= set(_EQUAL):
        return False
    if sides[0] and not any_left and not is_quantity(sides[0]):
        return False
    stated = _values_stated(kinds, sides, is_name(answer))
    if _apart(kinds, stated):
        return False
    one_claim = sum(number(side) is None for side in stated) <= 1
    return any(_same(side, answer, error) for side in (stated if one_claim else stated[-1:]))


def _values_stated(kinds: Sequence[str], sides: Sequence[Tokens], name_wanted: bool) -> list[Tokens]:
    """The sides of equations that may be the answer, without what is only named or given a value."""
    if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]):
        return [sides[1] if name_wanted else sides[0]]
    named = not sides[0] or is_name(sides[0]) or kinds[0] == "="
    return [side for side in (sides[1:] if named else sides) if side]


def _apart(kinds: Sequence[str], sides: Sequence[Tokens]) -> bool:
    """Whether the numbers of a chain differ by more than rounding, which a decimal point or sign shows."""
    rounded = "~" in kinds or any("." in token for side in sides for token in side)
    allowed = _ROUNDED if rounded else _EXACT
    numbers = [known for side in sides if (known := number(side)) is not None]
    try:
        values = [complex(one) for one in numbers]
        return any(abs(one - values[0]) > allowed * abs(values[0]) for one in values)
    except OverflowError:
        return any(one != numbers[0] for one in numbers)


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
    if all(kind in LARGER for kind in kinds):
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
    if kinds[0] == ["!="]:
        return all(_same(one, two, error) for one, two in zip(sides[0], sides[1][::-1], strict=True))
    if kinds[0] not in (["<"], ["<="]) or any(_bounds_only(sides[0], sides[1], at) for at in (0, 1)):
        return False
    return proportional(_difference(sides[0]), _difference(sides[1]), positive=True)


def _same_equation(mine: list[Tokens], other: list[Tokens], error: float | None) -> bool:
    """Whether both give the same name the same value, or their sides' differences are proportional."""
    if is_name(outer(other[0])) and _same_name(mine[0], other[0]) and _same(mine[-1], other[-1], error):
        return True
    if len(mine) != 2 or len(other) != 2 or _bounds_only(mine, other, 0):
        return False
    return proportional(_difference(mine), _difference(other), positive=False)


def _bounds_only(mine: Sequence[Tokens], other: Sequence[Tokens], at: int) -> bool:
    """Whether the sides at a place are the same name, and the others do not have it: then these decide."""
    name = other[at]
    parts = {token for token in name if token[-1].isalnum()}
    return is_name(outer(name)) and _same_name(mine[at], name) and not parts & {*mine[1 - at], *other[1 - at]}


def _same_name(one: Tokens, two: Tokens) -> bool:
    one, two = (tuple(token for token in name if token not in "{}") for name in (one, two))
    return one == two


def _difference(sides: Sequence[Tokens]) -> Tokens:
    return (*sides[0], "-", "(", *sides[1], ")")
