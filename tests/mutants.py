"""Python programs with one token changed: what good tests fail."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator

_CHANGES = {
    "+": "-", "-": "+", "*": "+", "/": "*", "//": "/", "%": "//", "<": ">", ">": "<", "<=": "<", ">=": ">",
    "==": "!=", "!=": "==", "+=": "-=", "-=": "+=", "and": "or", "or": "and", "True": "False",
    "False": "True", "not": "", "max": "min", "min": "max", "append": "extend", "any": "all", "all": "any",
    "is": "==", "sorted": "list",
    "break": "continue", "upper": "lower", "lower": "upper", "**": "*", "in": "not in",
}  # fmt: skip


def mutants(code: str) -> Iterator[str]:
    """`code` with one token changed, for every token that can be; each is still Python."""
    lines = code.splitlines(keepends=True)
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        text = _changed(token, before)
        # `for x in y` has no other form.
        loops = token.string == "in" and "for" in token.line[: token.start[1]].split()
        if text is not None and not loops:
            row, column = token.start[0] - 1, token.start[1]
            line = lines[row]
            mutant = "".join([*lines[:row], line[:column] + text + line[token.end[1] :], *lines[row + 1 :]])
            if mutant != code and _is_python(mutant):
                yield mutant
        before = token.string


def _changed(token: tokenize.TokenInfo, before: str) -> str | None:
    if token.type == tokenize.NUMBER and token.string.isdigit():
        return str(int(token.string) + 1)
    if token.type in (tokenize.OP, tokenize.NAME):
        return _CHANGES.get(token.string)
    return None


def _is_python(code: str) -> bool:
    try:
        compile("def f():\n" + code if code.startswith((" ", "\t")) else code, "<mutant>", "exec")
    except SyntaxError:
        return False
    return True
