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

Check = Callable[[bytes, bytes, Mapping[str, Any]], bool]


def standard(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal tokens; a gap with a line break is not a gap of blanks. White space at the ends is ignored."""
    if output == answer:
        return True
    return _token_lines(output) == _token_lines(answer)


def identical(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal bytes."""
    return output == answer


def rstripped(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal lines apart from white space at their ends, and at the end of the whole."""
    ours, theirs = (text.rstrip().split(b"\n") for text in (output, answer))
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


def linecount(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Line by line, token by token equal; passes when every line does."""
    return _matching_lines(output, answer, options) == max(len(_lines(output)), len(_lines(answer)))


def linematches(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """The same lines, each as often, in any order."""
    return Counter(_lines(output)) == Counter(_lines(answer))


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
    "floats": floats,
    "linecount": linecount,
    "linematches": linematches,
}
BUILT_IN: Mapping[str, Check] = {**DMOJ, "livecodebench": livecodebench, "value": same_value}


def _token_lines(text: bytes) -> list[list[bytes]]:
    """Tokens of each line that has any."""
    return [tokens for line in re.split(rb"[\r\n]", text) if (tokens := line.split())]


def _same_numbers(line: str, wanted: str) -> bool:
    try:
        return [Decimal(token) for token in line.split()] == [Decimal(token) for token in wanted.split()]
    except InvalidOperation:
        return False


def _lines(text: bytes) -> list[bytes]:
    return [b" ".join(tokens) for tokens in _token_lines(text)]


def _matching_lines(output: bytes, answer: bytes, options: Mapping[str, Any]) -> int:
    fold = bytes if options.get("match_case", True) else bytes.lower
    return sum(fold(a) == fold(b) for a, b in zip(_lines(output), _lines(answer), strict=False))


def _close(token: bytes, wanted: bytes, epsilon: float, mode: str) -> bool:
    try:
        expected = float(wanted)
    except ValueError:
        return token == wanted
    try:
        value = float(token)
    except ValueError:
        return False
    if math.isnan(value) or math.isnan(expected):
        return False
    if value == expected:
        return True
    error = abs(value - expected)
    absolute, relative = error <= epsilon, error <= epsilon * abs(expected)
    return {"default": absolute or relative, "absolute": absolute, "relative": relative}[mode]
