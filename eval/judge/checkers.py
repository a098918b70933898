"""Built-in checkers: is this output the answer? Pure functions on bytes, as DMOJ's of the same names,
and LiveCodeBench's.

Every checker takes (output, answer, options) and says whether the output passes. They never raise on
any output; wrong options raise `ValueError` when the problem is loaded, and options that do not suit an
answer `Unfit`. Testlib checkers are programs and run in the sandbox (`eval.judge.cases`). Not covered:
partial points, which OJBench does not count.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from eval.judge.values import same_value

_BREAK = re.compile(rb"[\r\n]")
_LARGEST_EPSILON = 10_000
Check = Callable[[bytes, bytes, Mapping[str, Any]], bool]


class Unfit(Exception):
    """A checker's options do not suit the answer: the problem's fault."""


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
    if precision < -_LARGEST_EPSILON:
        raise ValueError(f"precision {precision} tells nothing apart; use {-_LARGEST_EPSILON} or more")
    epsilon = 10**-precision
    mode = options.get("error_mode", "default")
    if mode not in _CLOSE:
        raise ValueError(f"error_mode {mode!r} is unknown; known are {', '.join(_CLOSE)}")
    close = _CLOSE[mode]
    ours, theirs = _token_lines(output), _token_lines(answer)
    return len(ours) == len(theirs) and all(
        len(line) == len(expected)
        and all(_close(token, wanted, epsilon, close) for token, wanted in zip(line, expected, strict=True))
        for line, expected in zip(ours, theirs, strict=True)
    )


def floatsabs(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """`floats` with absolute errors only."""
    return floats(output, answer, _in_mode("absolute", options))


def floatsrel(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """`floats` with relative errors only."""
    return floats(output, answer, _in_mode("relative", options))


def linecount(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """Equal lines, apart from white space at their ends."""
    ours, theirs = _lines(output), _lines(answer)
    return [line.strip() for line in ours] == [line.strip() for line in theirs]


def linematches(output: bytes, answer: bytes, options: Mapping[str, Any]) -> bool:
    """As many lines, and some equal to those in their places: any share of the points passes. Every line
    of the answer has its points in `point_distribution`; without that there is one line."""
    points, ours, theirs = options.get("point_distribution", [1]), _lines(output), _lines(answer)
    if not isinstance(points, list) or not all(isinstance(one, int | float) for one in points):
        raise ValueError(f"point_distribution is {points!r}; it must list numbers")
    if not sum(points):
        raise ValueError(f"point_distribution is {points!r}; its sum must not be 0")
    if len(points) != len(theirs):
        raise Unfit(f"point_distribution is for {len(points)} lines, the answer has {len(theirs)}")
    equal = [a == b for a, b in zip(ours, theirs, strict=False)]
    return len(ours) == len(theirs) and sum(itertools.compress(points, equal)) > 0


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


def _same_numbers(line: str, wanted: str) -> bool:
    try:
        return [Decimal(token) for token in line.split()] == [Decimal(token) for token in wanted.split()]
    except InvalidOperation:
        return False


def _in_mode(mode: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error_mode" in options:
        raise ValueError(f"error_mode {options['error_mode']!r} is given, though the checker is {mode}")
    return {**options, "error_mode": mode}


def _close(token: bytes, wanted: bytes, epsilon: float, close: Callable[..., bool]) -> bool:
    try:
        expected = float(wanted)
    except ValueError:
        return token == wanted
    try:
        return close(float(token), expected, epsilon)
    except (ValueError, OverflowError):
        return False


def _either(value: float, expected: float, epsilon: float) -> bool:
    """The relative error counts where the answer is no smaller than epsilon."""
    if _absolute(value, expected, epsilon):
        return True
    return abs(expected) >= epsilon and expected != 0 and abs(1 - value / expected) <= epsilon


def _absolute(value: float, expected: float, epsilon: float) -> bool:
    return abs(value - expected) <= epsilon


def _relative(value: float, expected: float, epsilon: float) -> bool:
    ends = expected * (1 - epsilon), expected * (1 + epsilon)
    return min(ends) <= value <= max(ends)


_CLOSE: Mapping[str, Callable[[float, float, float], bool]] = {
    "default": _either,
    "absolute": _absolute,
    "relative": _relative,
}
"""Not one formula for all: officially they round differently, and treat infinities so."""
