"""Built-in checkers: is this output the answer? Pure functions on bytes, as DMOJ's of the same names,
and LiveCodeBench's.

Every checker takes (output, answer, options) and says whether the output passes. They never raise on
any output; wrong options raise `ValueError` when the problem is loaded. Testlib checkers are programs
and run in the sandbox (`eval.judge.cases`). Not covered: partial points, which OJBench does not count.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from eval.judge.values import same_value

_BREAK = re.compile(rb"[\r\n]")
Check = Callable[[bytes, bytes, Mapping[str, Any]], bool]


def standard(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal tokens; a gap with a line break is not a gap of blanks. White space at the ends is ignored."""
    if output == answer:
        return True
    ours, theirs = _token_lines(output), _token_lines(answer)
    return list(filter(None, ours)) == list(filter(None, theirs))


def identical(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal bytes."""
    return output == answer


def rstripped(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal lines, white space at their ends aside; empty ones count, unless `filter_new_line` drops them."""
    dropped = options.get("filter_new_line", False)
    ours, theirs = (_lines(text) if dropped else _BREAK.split(text) for text in (output, answer))
    return [line.rstrip() for line in ours] == [line.rstrip() for line in theirs]


def easy(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """The same characters in any order, white space and case aside."""
    return Counter(b"".join(output.lower().split())) == Counter(b"".join(answer.lower().split()))


def sorted_lines(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """The same lines (`split_on: lines`) or tokens (`split_on: whitespace`) in any order."""
    split_on = options.get("split_on", "lines")
    if split_on == "whitespace":
        return sorted(output.split()) == sorted(answer.split())
    if split_on != "lines":
        raise ValueError(f"split_on {split_on!r} is unknown; known are lines, whitespace")
    return sorted(_token_lines(output)) == sorted(_token_lines(answer))


def unordered(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """The same tokens in any order."""
    return sorted_lines(output, answer, {"split_on": "whitespace"})


def floats(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Numbers within 10^-precision, absolutely or relatively (`error_mode` to choose); other tokens equal."""
    precision = int(options.get("precision", 6))
    if abs(precision) > 300:
        raise ValueError(f"precision {precision} is beyond what numbers can tell; use -300 to 300")
    epsilon = 10.0**-precision
    mode = options.get("error_mode", "default")
    if mode not in ("default", "absolute", "relative"):
        raise ValueError(f"error_mode {mode!r} is unknown; known are default, absolute, relative")
    ours, theirs = _token_lines(output), _token_lines(answer)
    return len(ours) == len(theirs) and all(
        len(line) == len(expected)
        and all(_close(token, wanted, epsilon, mode) for token, wanted in zip(line, expected, strict=True))
        for line, expected in zip(ours, theirs, strict=True)
    )


def floatsabs(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """`floats` with absolute errors only."""
    return floats(output, answer, {**options, "error_mode": "absolute"})


def floatsrel(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """`floats` with relative errors only."""
    return floats(output, answer, {**options, "error_mode": "relative"})


def linecount(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal lines, apart from white space at their ends and, where `match_case` is false, from case."""
    ours, theirs = _stripped(output, options), _stripped(answer, options)
    return ours == theirs


def linematches(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """As many lines, and one at least that is equal to that in its place: a share of the points passes."""
    ours, theirs = _stripped(output, options), _stripped(answer, options)
    return len(ours) == len(theirs) and (not ours or any(a == b for a, b in zip(ours, theirs, strict=True)))


def livecodebench(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal lines, or lines whose tokens are the same decimal numbers exactly; ends are stripped."""
    ours, theirs = (text.decode(errors="replace").strip().split("\n") for text in (output, answer))
    return len(ours) == len(theirs) and all(
        line.strip() == wanted.strip() or _same_numbers(line, wanted)
        for line, wanted in zip(ours, theirs, strict=True)
    )


DMOJ: Mapping[str, Check] = {
    "standard": standard,
    "identical": identical,
    "rstripped": rstripped,
    "easy": easy,
    "sorted": sorted_lines,
    "unordered": unordered,
    "floats": floats,
    "floatsabs": floatsabs,
    "floatsrel": floatsrel,
    "linecount": linecount,
    "linematches": linematches,
}
BUILT_IN: Mapping[str, Check] = {**DMOJ, "livecodebench": livecodebench, "value": same_value}


def _lines(text: bytes) -> list[bytes]:
    """Lines that are not empty; one of blanks is a line. CR ends a line as LF does."""
    return [line for line in _BREAK.split(text) if line]


def _token_lines(text: bytes) -> list[list[bytes]]:
    return [line.split() for line in _lines(text)]


def _stripped(text: bytes, options: Mapping[str, Any]) -> list[bytes]:
    lines = [line.strip() for line in _lines(text)]
    return lines if options.get("match_case", True) else [line.lower() for line in lines]


def _same_numbers(line: str, wanted: str) -> bool:
    try:
        return [Decimal(token) for token in line.split()] == [Decimal(token) for token in wanted.split()]
    except InvalidOperation:
        return False


def _close(token: bytes, wanted: bytes, epsilon: float, mode: str) -> bool:
    try:
        expected = float(wanted)
    except ValueError:
        return token == wanted
    try:
        value = float(token)
    except ValueError:
        return False
    if not (math.isfinite(value) and math.isfinite(expected)):
        return False  # no error is known: officially a difference from infinity is infinite, or no number
    error = abs(value - expected)
    absolute, relative = error <= epsilon, error <= epsilon * abs(expected)
    return {"default": absolute or relative, "absolute": absolute, "relative": relative}[mode]
