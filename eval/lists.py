r"""The answers that a list stands for, and the conditions that are stated beside them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from eval.latex import WORD, Tokens
from eval.structure import depths, is_group, is_name, outer, split

SMALLER, LARGER = ("<", "<="), (">", ">=")
UNEQUAL = (*SMALLER, *LARGER, "!=")
OR = WORD + "or"
_CONDITIONAL = (r"\in", *UNEQUAL)
_BETWEEN = (",", ";", r"\\", r"\lor", r"\land", WORD + "and", OR)
_INTRODUCING = tuple(WORD + word for word in ("for", "where", "with"))
_QUANTIFYING = frozenset(WORD + word for word in ("all", "every", "each", "any", "some", "is", "are"))
_PLACING = frozenset(WORD + word for word in ("when", "at", "attained"))
_PARITIES = frozenset(WORD + word for word in ("odd", "even"))
_NUMBER_SETS = frozenset("ZNQRC")
_MOST_ITEMS = 40
_LABELS = ("abcdefgh", "ABCDEFGH", "12345678", ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii"))


def items(found: Tokens) -> list[Tokens]:
    """The answers that a list, a set, a union or a `\\pm` stands for."""
    return [signed for part in _parts(found)[0] for signed in _signed(part)]


def conditions(found: Tokens) -> dict[str, Tokens]:
    """The condition on each variable of which there is just one."""
    stated = [(name, part) for part in _parts(found)[1] for name in _names(part)]
    names = [name for name, _ in stated]
    return {name: part for name, part in stated if names.count(name) == 1}


def number_set(found: Tokens) -> str:
    """The letter of the set of numbers that a condition names; empty where it names none."""
    letter = found[-1].removeprefix(r"\mathbb ") if len(found) > 1 and found[-2] == r"\in" else ""
    return letter if letter in _NUMBER_SETS else ""


def members(found: Tokens) -> Tokens:
    """What a variable is said to lie in, or a name to be the set of; the tokens themselves where none is."""
    sides, equal = split(found, (r"\in",)), split(found, ("=",))
    if len(equal) == 2 and is_group(outer(equal[1]), (r"\{",)):
        named = outer(equal[0])
        return outer(equal[1]) if is_name(named) or is_group(named, (r"\{",)) else found
    return sides[1] if len(sides) == 2 and is_name(outer(sides[0])) else found


def is_union(found: Tokens) -> bool:
    return len(split(members(found), (r"\cup",))) > 1


def _parts(found: Tokens) -> tuple[list[Tokens], list[Tokens]]:
    """The answers, and the conditions on their variables."""
    found, stated = _described(outer(members(found)))
    parts = list[Tokens]()
    for part in _unlabelled([part for part in split(found, (r"\cup", *_BETWEEN)) if part]):
        answer, condition = _quantified(part)
        parts += [outer(one) for one in split(answer, _INTRODUCING) if one]
        stated += [condition] if condition else []
    if len(parts) > _MOST_ITEMS:
        raise ValueError(f"{len(parts)} answers are none")
    told = [_is_condition(part, parts) for part in parts]
    if all(told):
        told = [False] * len(parts)
    answers = list[Tokens]()
    for part, is_condition in zip(parts, told, strict=True):
        answer, condition = (tuple[str, ...](), part) if is_condition else _unconditional(part)
        answers += [answer] if answer else []
        stated += [condition] if condition else []
    return answers, stated


def _described(found: Tokens) -> tuple[Tokens, list[Tokens]]:
    """What braces hold: a list, the condition in `\\{x : x > 2\\}`, or the answer in `\\{2k : k \\in Z\\}`
    with its condition apart; other tokens as they are."""
    if not is_group(found, (r"\{",)):
        return found, []
    held = split(found[1:-1], ("|", ":"))
    if len(held) == 1 or is_name(split(held[0], (r"\in",))[0]):
        return held[-1], []
    return (held[0], [held[1]]) if len(held) == 2 and {*held[1]} & {*_CONDITIONAL} else (found, [])


def _unlabelled(parts: list[Tokens]) -> list[Tokens]:
    """The parts of a list without their labels `(a)`, `(b)` or `(1)`, `(2)`; one answer without the letter of
    the choice that it is, `\\text{(B)} 5`."""
    found = list[str]()
    for part in parts:
        end = part.index(")") if part[0] == "(" and ")" in part[:-1] else 0
        found.append("".join(part[1:end]).replace(WORD, ""))
    labelled = any(tuple(found) == tuple(labels[: len(parts)]) for labels in _LABELS)
    if len(parts) == 1:
        labelled = found[0] != "" and found[0] in "ABCDE" and parts[0][1] == WORD + found[0]
    return [part[part.index(")") + 1 :] for part in parts] if labelled else parts


def _quantified(part: Tokens) -> tuple[Tokens, Tokens]:
    """An answer and what is said behind it of its variables: `for all x`, `where k is an integer`,
    `at x = 2`.

    What is said of odd or even numbers only, or of another value, belongs to the answer.
    """
    if part[-1] == WORD + "only":
        return part[:-1], ()
    if part[0] == WORD + "all" and {*part} & {*UNEQUAL} and not {*part} & _PARITIES:
        return tuple(token for token in part if not token.startswith(WORD)), ()
    for at, (token, depth) in enumerate(zip(part, depths(part), strict=True)):
        rest = part[at + 1 :]
        if depth or {*rest} & _PARITIES:
            continue
        if token in _PLACING:
            rest = rest[1:] if rest[:1] == (WORD + "at",) else rest
            sides = split(rest, ("=",))
            if len(sides) == 2 and is_name(sides[0]):
                return part[:at], ()
        quantifies = token == r"\forall" or (token in _INTRODUCING and {*rest} & _QUANTIFYING)
        if quantifies and "=" not in rest:
            return part[:at], tuple(one for one in rest if not one.startswith(WORD))
    return part, ()


def _is_condition(part: Tokens, parts: Sequence[Tokens]) -> bool:
    """Whether an item only says where another item's variable lies, `k \\in Z` or `k > 0`."""
    return any(
        name in other
        for name in _names(part)
        for other in parts
        if other is not part and not number_set(other) and (number_set(part) or not set(other) & {*UNEQUAL})
    )


def _names(part: Tokens) -> list[str]:
    """The variables that a condition bounds."""
    sides = split(part, _CONDITIONAL) if set(part) & {*_CONDITIONAL} else []
    return [side[0] for side in sides if len(side) == 1 and is_name(side)]


def _unconditional(part: Tokens) -> tuple[Tokens, Tokens]:
    """An answer without what stands behind it in brackets, as in `k\\pi (k \\in \\mathbb Z)`, and that."""
    begin = max((at for at, depth in enumerate(depths(part)) if not depth and part[at] == "("), default=0)
    stated = set(part[begin:]) & {*_CONDITIONAL}
    return (part[:begin], part[begin + 1 : -1]) if begin and part[-1] == ")" and stated else (part, ())


def _signed(part: Tokens) -> list[Tokens]:
    if r"\pm" not in part and r"\mp" not in part:
        return [part]
    signs = (("+", "-"), ("-", "+"))
    return [
        tuple(plus if token == r"\pm" else minus if token == r"\mp" else token for token in part)
        for plus, minus in signs
    ]


# Names of parts -----------------------------------------------------------------------------------


def named(found: Sequence[Tokens]) -> list[Tokens]:
    """Equations, each of one name: `a = b = 2` as `a = 2` and `b = 2`."""
    result = list[Tokens]()
    for item in found:
        *names, value = split(item, ("=",))
        chain = len(names) > 1 and all(map(is_name, names)) and not is_name(value)
        result += [(*name, "=", *value) for name in names] if chain else [item]
    return result


def solutions(found: Tokens) -> Tokens:
    """`x = 1, y = 2 or x = 2, y = 1` as the tuples `(1, 2), (2, 1)`; other tokens as they are."""
    for separators in ((OR, r"\lor"), (";",)):
        parts = [named(items(part)) for part in split(found, separators) if part]
        pairs = [[split(item, ("=",)) for item in part] for part in parts]
        if len(parts) < 2 or any(len(part) < 2 for part in parts):
            continue
        if all(len(pair) == 2 and is_name(pair[0]) for part in pairs for pair in part):
            names = [[pair[0] for pair in part] for part in pairs]
            if all(one == sorted(set(names[0])) for one in names):
                tuples = [[token for _, value in part for token in (",", *value)][1:] for part in pairs]
                return tuple(token for one in tuples for token in (",", "(", *one, ")"))[1:]
    return found


def as_tuples(mine: list[Tokens], other: list[Tokens]) -> tuple[list[Tokens], list[Tokens]] | None:
    """The parts of both if one is a tuple and the other says what its parts are called: `x = 1, y = 2` and
    `(1, 2)` or `(x, y) = (1, 2)`. Names that are not in their usual order may belong to other places."""
    for listed, whole in ((mine, other), (other, mine)):
        sides = [split(item, ("=",)) for item in named(listed)]
        if len(sides) < 2 or len(whole) != 1 or any(len(side) != 2 or not is_name(side[0]) for side in sides):
            continue
        names, values = [side[0] for side in sides], [side[1] for side in sides]
        *left, right = split(whole[0], ("=",))
        if not is_group(right, ("(",)) or right[-1] != ")" or len(left) > 1 or names != sorted(set(names)):
            return None
        called = split(left[0][1:-1], (",",)) if left and is_group(left[0]) else names
        parts = split(right[1:-1], (",",))
        if called == names and len(parts) == len(names):
            return (values, parts) if listed is mine else (parts, values)
    return None
