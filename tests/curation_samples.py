"""Problems for tests of curation: different ones, all of our own making."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PROBLEMS = (
    "A baker has n loaves, each with a weight. Split them into two trays so that the difference of the "
    "trays' total weights is as small as possible, and print that difference. The first line has n, up "
    "to 40.",
    "You are given a string of brackets. In one step you may delete any single bracket. Print the least"
    " number of steps after which the string is balanced, or zero if it already is.",
    "There are m one-way streets between n squares of a town. Find how many squares can reach every "
    "other square. Input begins with n and m, followed by one street on each of m lines.",
    "Alice writes the integers from one to n in a circle and crosses out every k-th of them until one "
    "is left. Given n and k, print the integer that stays.",
    "An array of positive integers is called smooth if neighbours differ by at most one. Count the "
    "smooth arrays of length n whose elements do not exceed m, modulo 998244353.",
    "A frog sits at the first stone of a river and can jump two or three stones forward; some stones "
    "are wet and must not be used. Print the number of ways in which it reaches the last stone.",
    "Each of n employees has one direct boss except the director. For every employee print how many "
    "people work under them, directly or through others.",
    "Given are two sorted lists of timestamps at which two sensors fired. Print the longest stretch of "
    "time in which neither of them fired, in whole seconds.",
    "On an infinite sheet of squared paper, n rectangles with integer corners are painted. Compute the "
    "painted area, counting what several rectangles cover only once.",
    "A password is good if it has a digit, a capital letter and no letter three times in a row. For a "
    "given password print the least number of characters to change so that it becomes good.",
)


def rows(number: int, first: int = 0) -> list[dict[str, Any]]:
    """That many rows with a problem each; beyond the ten they share no run of words."""
    return [{"id": f"p{n}", "prompt": problem(n)} for n in range(first, first + number)]


def problem(number: int) -> str:
    """A problem of its own for each number."""
    if number < len(PROBLEMS):
        return PROBLEMS[number]
    words = [f"w{(number * 7919 + 104729 * i * i + i) % 99991}" for i in range(40)]
    return f"Given {' '.join(words)}, print the total of them."


def write_jsonl(path: Path, found: Iterable[Mapping[str, Any] | str]) -> Path:
    """Rows as JSON lines; text is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in found))
    return path
