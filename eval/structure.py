"""What stands inside and outside of brackets in an answer's tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from eval.latex import Tokens, replaced

_OPEN, _CLOSE = ("(", "[", "{", r"\{", r"\lfloor", r"\lceil"), (")", "]", "}", r"\}", r"\rfloor", r"\rceil")


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
    while is_group(found, ("{",)):
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


def bare(found: Tokens) -> Tokens:
    """The tokens without braces around a single one."""
    bare: list[str] = []
    for token in found:
        bare[-2:] = [bare[-1]] if token == "}" and bare[-2:-1] == ["{"] else [*bare[-2:], token]
    return tuple(bare)
