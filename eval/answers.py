"""Final answers in prose: where a response states one, and whether it equals the expected one. Pure.

Mathematical answers are compared as LaTeX that is tidied up, and, where that is not enough, by value: both
are evaluated at a few random points (`eval.expressions`). Deliberately no computer algebra: a model's text
is hostile, and symbolic packages evaluate Python or take 9^{9^9} at its word.

Not covered: matrices, intervals with conditions in words, units (they are dropped), proofs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.expressions import values

_END_OF_THINKING, _START_OF_THINKING = "</think>", "<think>"


def after_thinking(response: str) -> str:
    """What stands after the thinking; nothing where it never ended."""
    if _END_OF_THINKING in response:
        return response.rpartition(_END_OF_THINKING)[2]
    return "" if unfinished(response) else response


def unfinished(response: str) -> bool:
    """Whether thinking was begun and never ended: the sign of a response that was cut off."""
    return _START_OF_THINKING in response and _END_OF_THINKING not in response


def letter(response: str, letters: str = "ABCD") -> str | None:
    """The last choice stated as `Answer: X`, whatever emphasis is around it (simple-evals' form)."""
    around = r"[ \t*_$(\[{]*(?:\\(?:boxed|text|mathrm)\{)*[ \t*(]*"
    found = re.findall(rf"(?i:answer)[ \t*_]*:{around}([{letters}])(?![A-Za-z])", response)
    return found[-1] if found else None


def boxed(response: str) -> str | None:
    """What the last \\boxed{} or \\fbox{} holds, braces balanced."""
    for match in reversed(list(re.finditer(r"\\(?:boxed|fbox)\s*(?={)|\\boxed\s+(?=[^\s{])", response))):
        rest = response[match.end() :]
        if not rest.startswith("{"):
            return re.split(r"[\s$.,]", rest, maxsplit=1)[0]
        if (end := _closing(rest)) is not None:
            return rest[1:end].strip()
    return None


def _closing(text: str) -> int | None:
    """Where the brace that opens `text` is closed."""
    depth, escaped = 0, False
    for index, character in enumerate(text):
        if not escaped and character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return index
        escaped = character == "\\" and not escaped
    return None


# Equality -----------------------------------------------------------------------------------------

TOLERANCE = 1e-8
_MOST_CHARACTERS = 1000
_DROPPED = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits|q?quad)(?![a-z])|\\[,;:!> $]|[$\s~]"
    r"|\^?\{?\\circ\}?|\\degree|\\?%|(?<=[\w)}\]])\\(?:text|mathrm)\{[^{}]*\}$|\.$"
)
_SAME: Sequence[tuple[str, str]] = (
    (r"\\[dt]frac", r"\\frac"),
    (r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname|boldsymbol|bm)\{([^{}]*)\}", r"\1"),
    (r"\\(?:cdot|times|ast)(?![a-z])", "*"),
    (r"\\div(?![a-z])", "/"),
    (r"\\le(?:q|qslant)?(?![a-z])", "<="),
    (r"\\ge(?:q|qslant)?(?![a-z])", ">="),
    (r"\{,\}", ","),
    (r"(?<=\d),(?=\d{3}(?!\d))", ""),
    (r"\\infty(?![a-z])", "inf"),
    (r"−", "-"),
    (r"^\\(?:\{|lbrace)(.*)\\(?:\}|rbrace)$", r"\1"),
    (r"^[A-Za-z](?:\([a-z]\))?(?:=|\\in(?![a-z]))(?=[^=]+$)", ""),
)


def equal(given: str, expected: str, tolerance: float = TOLERANCE) -> bool:
    """Whether two LaTeX answers mean the same.

    Sets and lists without brackets are equal in any order, `\\pm` stands for both, and tuples and
    intervals must agree in order and brackets. Numbers may differ by `tolerance`, absolutely or
    relatively, except that whole numbers are compared exactly.
    """
    ours, theirs = tidy(given), tidy(expected)
    if ours == theirs:
        return True
    if max(len(ours), len(theirs)) > _MOST_CHARACTERS or not ours:
        return False
    mine, other = _several(ours), _several(theirs)
    if len(mine) != len(other):
        return False
    for one in mine:
        match = next((two for two in other if _same(one, two, tolerance)), None)
        if match is None:
            return False
        other.remove(match)
    return True


def tidy(answer: str) -> str:
    """LaTeX without what does not change its meaning: spacing, sizes, units, set braces, `x =` in front."""
    text, before = answer, None
    while before != text:
        before, text = text, _DROPPED.sub("", text)
    for pattern, replacement in _SAME:
        text = re.sub(pattern, replacement, text)
    return text


def _several(text: str) -> list[str]:
    """The answers that a bracketless list, or a `\\pm`, stands for."""
    parts = [text] if text[0] in "([" and _one_group(text) else _split(text)
    return [
        part.replace("\\pm", sign, 1) for part in parts for sign in (("+", "-") if "\\pm" in part else ("",))
    ]


def _one_group(text: str) -> bool:
    """Whether the bracket that opens `text` is closed by its last character; intervals mix their kinds."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    """The parts between commas outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [re.sub(r"^[A-Za-z]=", "", part) for part in parts if part]


def _same(one: str, two: str, tolerance: float) -> bool:
    if one == two:
        return True
    if re.fullmatch(r"[+-]?\d+", one) and re.fullmatch(r"[+-]?\d+", two):
        return int(one) == int(two)
    groups = [text[:1] in "([" and _one_group(text) for text in (one, two)]
    if all(groups) and (one[0] + one[-1]) == (two[0] + two[-1]):
        mine, other = _split(one[1:-1]), _split(two[1:-1])
        if len(mine) == len(other) > 1:
            return all(_same(a, b, tolerance) for a, b in zip(mine, other, strict=True))
    if "=" in one and "=" in two:
        return _same_equation(one, two)
    ours, theirs = values(one), values(two)
    return bool(ours and theirs) and all(_close(a, b, tolerance) for a, b in zip(ours, theirs, strict=True))


def _close(a: complex, b: complex, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(1.0, abs(b))


def _same_equation(one: str, two: str) -> bool:
    """Whether the two sides' differences are proportional."""
    differences = [values("-(".join(text.split("=", 1)) + ")") for text in (one, two)]
    pairs = list(zip(*differences, strict=False))
    if not pairs or any(abs(b) < TOLERANCE for _, b in pairs):
        return False
    ratios = [a / b for a, b in pairs]
    return abs(ratios[0]) > TOLERANCE and all(_close(ratio, ratios[0], 1e-6) for ratio in ratios)
