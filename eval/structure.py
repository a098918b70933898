"""What stands inside and outside of brackets in an answer's tokens, and what names something. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.latex import FUNCTIONS, Tokens, end_of_argument, replaced

_OPEN, _CLOSE = ("(", "[", "{", r"\{", r"\lfloor", r"\lceil"), (")", "]", "}", r"\}", r"\rfloor", r"\rceil")
_CHANGES = (r"\Delta", r"\delta", r"\partial", "d")


def depths(found: Sequence[str]) -> list[int]:
    """How many brackets are open before each token."""
    before, depth = list[int](), 0
    for token in found:
        depth -= token in _CLOSE
        before.append(depth)
        depth += token in _OPEN
    return before


def outside(found: Tokens) -> list[str]:
    """The tokens outside of all brackets, and the outermost brackets."""
    return [token for token, depth in zip(found, depths(found), strict=True) if not depth]


def split(found: Tokens, separators: Sequence[str]) -> list[Tokens]:
    """The parts between the separators that stand outside of all brackets."""
    parts: list[list[str]] = [[]]
    for token, depth in zip(found, depths(found), strict=True):
        if depth == 0 and token in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts]


def is_group(found: Tokens, opening: Sequence[str] = ("(", "[")) -> bool:
    """Whether the bracket that begins the tokens is closed by the last one."""
    return len(found) > 1 and found[0] in opening and found[-1] in _CLOSE and 0 not in depths(found)[1:-1]


def outer(found: Tokens) -> Tokens:
    """What remains without brackets that only hold everything together."""
    found = _matrices(found)
    if found == (r"\mathbb R",):
        return ("(", "-", r"\infty", ",", r"\infty", ")")
    if bare(found) == (r"\mathbb R", "^", "+"):
        return ("(", "0", ",", r"\infty", ")")
    while is_group(found, ("{",)):
        found = found[1:-1]
    return found


def _matrices(found: Tokens) -> Tokens:
    """Rows and columns of a matrix as nested tuples."""
    if r"\begin" not in found:
        return found
    for opening, closing in ("()", "[]"):
        without = replaced(found, (opening, r"\begin"), (r"\begin",))
        without = replaced(without, (r"\end", closing), (r"\end",))
        found = tuple(without) if len(found) - len(without) == 2 * without.count(r"\begin") else found
    end = ")", ")"
    for old, new in ((r"\begin", ("(", "(")), (r"\end", end), (r"\\", (")", ",", "(")), ("&", (",",))):
        found = tuple(replaced(found, (old,), new))
    return found


def bare(found: Tokens) -> Tokens:
    """The tokens without braces around a single one."""
    bare: list[str] = []
    for token in found:
        bare[-2:] = [bare[-1]] if token == "}" and bare[-2:-1] == ["{"] else [*bare[-2:], token]
    return tuple(bare)


def is_name(found: Tokens) -> bool:
    """Whether the tokens name something: `x`, `f(x)`, `v_{0}'`, `AB`, `(x,y)`, upright words."""
    if is_group(found):
        return all(is_name(part) for part in split(found[1:-1], (",",)))
    plain = " ".join(token.replace(" ", "") for token in outside(found))
    name = r"(?:[A-Za-z]|\\[A-Za-z]+)(?: '| _ [^ ]+(?: \})?)*(?: ' )*(?: \( \))?"
    return bool(re.fullmatch(rf'{name}|(?:[A-Z] ?)+|(?:\\angle|\\triangle)(?: [A-Z])+|(?:"\w+ ?)+', plain))


def is_quantity(found: Tokens) -> bool:
    """Whether the tokens say what is meant by a value, as a curve's equation does not: a name, `f^{-1}(x)`, a
    change, length, function or ratio of such."""
    if not found or is_name(found):
        return bool(found)
    ratio = split(found, (":", "/"))
    if len(ratio) > 1:
        return all(map(is_quantity, ratio))
    if found[0] == found[-1] == "|" or is_group(found, ("{",)):
        return is_quantity(found[1:-1])
    if found[0] in _CHANGES:
        return is_name(found[1:])
    if found[0] == r"\frac":
        middle = end_of_argument(found, 1)
        return is_quantity(found[1:middle]) and is_quantity(found[middle:])
    if len(found) > 3 and found[1] == "^" and found[0].isalpha() and found[-1] == ")":
        return is_name(found[:1] + found[end_of_argument(found, 2) :])
    if found[0][1:] in FUNCTIONS:
        rest = found[end_of_argument(found, 2) :] if found[1:2] == ("^",) else found[1:]
        return is_quantity(rest)
    return False
