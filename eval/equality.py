r"""Whether two LaTeX answers mean the same: lists, tuples, intervals, relations and values. Pure.

Where a notation has two readings (`1/2x`, `1,000`, a unit that only one side names) either one counts.

Not covered: sets given by a condition, unions of intervals that touch, answers in words beyond their letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import product

from eval.expressions import OHM, Reading, values
from eval.latex import WORD, Tokens, replaced, tokens
from eval.numbers import NoValueError, Value

_CLOSE_ENOUGH = 1e-8
_MOST_ITEMS, _MOST_NESTED = 40, 60
_SAME_VALUE_IN_A_CHAIN = 0.01
_OPEN, _CLOSE = ("(", "[", "{", r"\{", r"\lfloor", r"\lceil"), (")", "]", "}", r"\}", r"\rfloor", r"\rceil")
_EQUAL, _SMALLER, _LARGER = ("=", "~"), ("<", "<="), (">", ">=")
_RELATIONS = (*_EQUAL, *_SMALLER, *_LARGER, "!=", r"\in", r"\equiv", r"\to")
_SEPARATORS = (",", ";", WORD + "and", WORD + "or", r"\lor", r"\land")
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
    """The tokens of a text, and of one where commas group digits if they may."""
    yield _read(text)
    if _THOUSANDS.search(text):
        yield _read(_THOUSANDS.sub(lambda match: match.group().replace(",", ""), text))


def _read(text: str) -> Tokens:
    found = tokens(text)
    if max(_depths(found), default=0) > _MOST_NESTED:
        raise ValueError("too deeply nested to be an answer")
    return _outer(found)


# Structure ----------------------------------------------------------------------------------------


def _depths(found: Sequence[str]) -> list[int]:
    """How many brackets are open before each token."""
    depths, depth = [], 0
    for token in found:
        depth -= token in _CLOSE
        depths.append(depth)
        depth += token in _OPEN
    return depths


def _outside(found: Tokens) -> list[str]:
    """The tokens outside of all brackets, and the outermost brackets."""
    return [token for token, depth in zip(found, _depths(found), strict=True) if not depth]


def _split(found: Tokens, separators: Sequence[str]) -> list[Tokens]:
    """The parts between the separators that stand outside of all brackets."""
    parts: list[list[str]] = [[]]
    for token, depth in zip(found, _depths(found), strict=True):
        if depth == 0 and token in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts]


def _is_group(found: Tokens, opening: Sequence[str] = ("(", "[")) -> bool:
    """Whether the bracket that begins the tokens is closed by the last one."""
    return len(found) > 1 and found[0] in opening and found[-1] in _CLOSE and 0 not in _depths(found)[1:-1]


def _outer(found: Tokens) -> Tokens:
    """What remains without brackets that only hold everything together."""
    found = _matrices(found)
    if found == (r"\mathbb R",):
        return ("(", "-", r"\infty", ",", r"\infty", ")")
    while _is_group(found, ("{",)):
        found = found[1:-1]
    return found


def _matrices(found: Tokens) -> Tokens:
    """Rows and columns of a matrix as nested tuples."""
    if r"\begin" not in found:
        return found
    end = ")", ")"
    for old, new in ((r"\begin", ("(", "(")), (r"\end", end), (r"\\", (")", ",", "(")), ("&", (",",))):
        found = tuple(replaced(found, (old,), new))
    return found


def _bare(found: Tokens) -> Tokens:
    """The tokens without braces around a single one."""
    bare: list[str] = []
    for token in found:
        bare[-2:] = [bare[-1]] if token == "}" and bare[-2:-1] == ["{"] else [*bare[-2:], token]
    return tuple(bare)


def _items(found: Tokens) -> list[Tokens]:
    """The answers that a list, a set, a union or a `\\pm` stands for."""
    found = _outer(_members(found))
    if _is_group(found, (r"\{",)) and len(_split(found[1:-1], ("|", ":"))) == 1:
        found = found[1:-1]
    parts = [_outer(part) for part in _split(found, (r"\cup", *_SEPARATORS)) if part]
    if len(parts) > _MOST_ITEMS:
        raise ValueError(f"{len(parts)} answers are none")
    wanted = [part for part in parts if not _is_condition(part, parts)] or parts
    return [signed for part in wanted for signed in _signed(part)]


def _members(found: Tokens) -> Tokens:
    """What a variable is said to lie in; the tokens themselves where none is."""
    sides = _split(found, (r"\in",))
    return sides[1] if len(sides) == 2 and _is_name(_outer(sides[0])) else found


def _is_condition(part: Tokens, parts: Sequence[Tokens]) -> bool:
    """Whether an item only says where another item's variable lies."""
    name = part[: part.index(r"\in")] if r"\in" in part else ()
    return len(name) == 1 and any(name[0] in other for other in parts if other is not part)


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


def _for_each(errors: Errors, items: int) -> Errors:
    """An error for each of the items; where the data set gives another number of them, its largest."""
    known = [error for error in errors if error is not None]
    return errors if len(errors) == items else [max(known, default=None)] * items


def _is_union(found: Tokens) -> bool:
    return len(_split(_members(found), (r"\cup",))) > 1


def _has_relation(parts: Sequence[Tokens]) -> bool:
    return any(len(_split(part, _RELATIONS)) > 1 for part in parts)


# Single answers -----------------------------------------------------------------------------------


def _same(given: Tokens, expected: Tokens, error: float | None) -> bool:
    """Whether one answer means the same as another, both without lists."""
    given, expected = _outer(given), _outer(expected)
    if _bare(given) == _bare(expected) or _same_words(given, expected):
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
    return [token for token in _outside(found) if token in _RELATIONS]


def _is_name(found: Tokens) -> bool:
    """Whether the tokens name something: `x`, `f(x)`, `v_{0}'`, `AB`, `(x,y)`, upright words."""
    if _is_group(found):
        return all(_is_name(part) for part in _split(found[1:-1], (",",)))
    plain = " ".join(_outside(found))
    name = r"(?:[A-Za-z]|\\[A-Za-z]+(?: \w+)?)(?: '| _ [^ ]+(?: \})?)*(?: ' )*(?: \( \))?"
    return bool(re.fullmatch(rf'{name}|(?:[A-Z] ?)+|(?:\\angle|\\triangle)(?: [A-Z])+|(?:"\w+ ?)+', plain))


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
    if not (_is_group(given) and _is_group(expected)) or (given[0], given[-1]) != (expected[0], expected[-1]):
        return False
    mine, other = (_split(found[1:-1], (",",)) for found in (given, expected))
    if len(mine) != len(other):
        return False
    return all(_same(one, two, error) for one, two in zip(mine, other, strict=True))


def _states(relation: Tokens, answer: Tokens, error: float | None, *, any_left: bool) -> bool:
    """Whether `x = 5`, `m + n = 55`, `x > 2` or `x \\in A` says what the answer says; the left side must be a
    name unless `any_left`."""
    kinds, sides = _related(relation), [_outer(side) for side in _split(relation, _RELATIONS)]
    if kinds == [r"\in"]:
        return _is_name(sides[0]) and _same(sides[1], answer, error)
    if set(kinds) <= {*_SMALLER, *_LARGER}:
        interval = _interval(kinds, sides)
        return interval is not None and _same(interval, answer, error)
    if not set(kinds) <= set(_EQUAL):
        return False
    if sides[0] and not any_left and not _is_name(sides[0]):
        return False
    stated = _values_stated(kinds, sides, _is_name(answer))
    chosen = stated if _agree(stated) else stated[-1:]
    return any(_same(side, answer, error) for side in chosen)


def _values_stated(kinds: Sequence[str], sides: Sequence[Tokens], name_wanted: bool) -> list[Tokens]:
    """The sides of equations that may be the answer, without what is only named or given a value."""
    if len(sides) == 2 and _is_name(sides[1]) and not _is_name(sides[0]):
        return [sides[1] if name_wanted else sides[0]]
    named = not sides[0] or _is_name(sides[0]) or kinds[0] == "="
    return [side for side in (sides[1:] if named else sides) if side]


def _agree(sides: Sequence[Tokens]) -> bool:
    """Whether the members of a chain like `\\sqrt2 \\approx 1.41` are numbers that are nearly the same."""
    try:
        numbers = [_known(side, Reading())[0] for side in sides]
    except NoValueError:
        return False
    sizes = [complex(number.number) for number in numbers if number is not None]
    nearly = (abs(size - sizes[0]) <= _SAME_VALUE_IN_A_CHAIN * abs(sizes[0]) for size in sizes)
    return 0 < len(sizes) == len(numbers) and all(nearly)


def _interval(kinds: list[str], sides: list[Tokens]) -> Tokens | None:
    """The interval that an inequality about one name describes."""
    kinds, sides = _ascending(kinds, sides)
    if len(sides) == 2 and _is_name(sides[0]):
        return ("(", "-", r"\infty", ",", *sides[1], "]" if kinds[0] == "<=" else ")")
    if len(sides) == 2 and _is_name(sides[1]):
        return ("[" if kinds[0] == "<=" else "(", *sides[0], ",", r"\infty", ")")
    if len(sides) == 3 and _is_name(sides[1]):
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
        *(_ascending(_related(found), _split(found, _RELATIONS)) for found in (given, expected)), strict=True
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
    if _is_name(_outer(other[0])) and _same_name(mine[0], other[0]) and _same(mine[-1], other[-1], error):
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
    """Whether the quotient of both is the same number wherever it is looked at."""
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
def _known(found: Tokens, reading: Reading, signed: bool = False) -> list[Value | None]:
    return values(found, reading, signed)


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


def _word_readings(given: Tokens, expected: Tokens) -> list[str]:
    worded = [any(token.startswith(WORD) or token == OHM for token in found) for found in (given, expected)]
    if not any(worded):
        return ["units"]
    return ["units", "letters"] if all(worded) else ["units", "no units", "letters"]


def _same_reading(
    given: Tokens, expected: Tokens, error: float | None, mine: Reading, other: Reading
) -> bool:
    """Whether the values agree wherever both are known and, if there are such points, real."""
    for negative in (False, True) if "|" in given + expected else (False,):
        try:
            pairs = list(zip(_known(given, mine, negative), _known(expected, other, negative), strict=True))
        except NoValueError:
            return False
        both = [(one, two) for one, two in pairs if one is not None and two is not None]
        both = [(one, two) for one, two in both if one.is_real and two.is_real] or both
        if len(both) < 2 or not all(_close(one, two, error) for one, two in both):
            return False
    return True


def _close(one: Value, two: Value, error: float | None) -> bool:
    return one.close(two, _CLOSE_ENOUGH if error is None else error, relative=error is None)
