"""Finds the program in a model's answer, by each benchmark's rule.

`strict` rules are the official judges', quirks included: what they miss counts as missed.
`fixed` asks what the author meant: the last program in the right language after any thinking, however it is
tagged.
Pure; never raises on any text. Not covered: languages other than C++ and Python.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

from eval.judge.records import Mode

Format = Literal["dmoj", "lightcp", "lcb", "asserts"]
_FENCE = "```"
_TAGS = {
    "cpp": {"cpp", "c++", "cc", "cxx", "c++17", "c++20", "cpp17", "cpp20"},
    "python": {"python", "py", "python3", "py3", "pypy", "pypy3"},
}
_END_OF_THINKING = "</think>"
_MAIN = re.compile(r"int\s+main\s*\(")
_OPENER = re.compile(r"^```cpp(\s*)", re.MULTILINE)
_BEGIN = re.compile(r"\ufeff?(`{3,}|~{3,})\s*([^\s`]*)|[^`]*[^`\w](`{3,})([^\s`]+)$")
"""The first line of a block: a fence, or text and then one with a tag."""
_BRACE = re.compile(r"[{}]")


def extract_code(format: Format, language: str, response: str, mode: Mode = "strict") -> str | None:
    """The program in `response`, or None where the benchmark finds none."""
    if mode == "fixed":
        return _meant(language, response)
    rules = {"dmoj": _dmoj, "lightcp": _lightcp, "lcb": _lcb, "asserts": _asserts}
    return rules[format](language, response)


def _dmoj(language: str, response: str) -> str | None:
    """OJBench: after the last opener up to the next closer; without an opener, from the start."""
    opener = f"{_FENCE}{language}\n"
    at = response.rfind(opener)
    start = at + len(opener) if at >= 0 else 0
    end = response.find(f"\n{_FENCE}", start)
    code = response[start:] if end < 0 else response[start:end]
    if language == "python" and code.count("def main():") == 1 and code.count("main()") == 1:
        code += "\nmain()"
    return code


def _lightcp(language: str, response: str) -> str | None:
    """LiveCodeBench-Pro: the last cpp block with an #include, else what stands around the last main."""
    del language  # the benchmark is C++ only
    with_include = [block for block in _cpp_blocks(response) if "#include" in block]
    return with_include[-1].strip() if with_include else _around_main(response)


def _cpp_blocks(response: str) -> Iterator[str]:
    r"""What r"^```cpp\s*\n(.*?)\n```" finds, in linear time however many blank lines there are."""
    at = 0
    while opener := _OPENER.search(response, at):
        at = opener.end()
        start = opener.start(1) + opener[1].rfind("\n") + 1
        if start == opener.start(1):
            continue
        end = response.find(f"\n{_FENCE}", start)
        if end < 0 and response.startswith(_FENCE, start):  # the blank lines' last end is that of the block
            end = start - 1
            start = response.rfind("\n", opener.start(1), end) + 1 or end + 1
        if end >= start:
            yield response[start:end]
            at = end + 1 + len(_FENCE)


def _around_main(response: str) -> str | None:
    """The last main with an #include in or before it: from there on to the brace that closes it, if any."""
    lines = response.splitlines()
    # Officially every line break counts as one character, so after CRLFs a line is looked for too far ahead.
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    includes = _first_includes(lines)
    for main in reversed(list(_MAIN.finditer(response)) if "#include" in response else []):
        opened = response.find("{", main.end())
        if opened < 0:
            continue
        at = bisect_right(starts, main.start()) - 1 if main.start() < starts[-1] else 0
        code = response[starts[includes[at]] : _closing_brace(response, opened)].strip()
        if "#include" in code:
            return code
    return None


def _first_includes(lines: list[str]) -> list[int]:
    """For each line the first of the nearest #include lines at or above it; itself where there are none."""
    found: list[int] = []
    first, before = -1, False
    for at, line in enumerate(lines):
        include = line.lstrip().startswith("#include")
        if include and not before:
            first = at
        found.append(at if first < 0 else first)
        before = include
    return found


def _closing_brace(text: str, opened: int) -> int:
    """Just past the brace that closes the one at `opened`; the end of the text if none does."""
    depth = 0
    for match in _BRACE.finditer(text, opened):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.end()
    return len(text)


def _lcb(language: str, response: str) -> str | None:
    """LiveCodeBench: what stands between the last two lines that contain a fence, else nothing."""
    del language  # any fence counts
    lines = response.split("\n")
    fences = [index for index, line in enumerate(lines) if _FENCE in line]
    if len(fences) < 2:
        return ""
    return "\n".join(lines[fences[-2] + 1 : fences[-1]])


def _asserts(language: str, response: str) -> str:
    """HumanEval and MBPP, whose authors have completions: the last program, else the whole answer."""
    return _meant(language, response) or response.rpartition(_END_OF_THINKING)[2]


def _meant(language: str, response: str) -> str | None:
    answer = response.rpartition(_END_OF_THINKING)[2]
    # An answer may itself be in a block, tagged as Markdown.
    blocks = [
        block
        for tag, code in _blocks(answer)
        for block in (_blocks(code) if tag in ("markdown", "md") else [(tag, code)])
    ]
    right = [code for tag, code in blocks if tag in _TAGS.get(language, {language}) and code.strip()]
    alike = [code for _, code in blocks if _looks_like_code(language, code)]
    untagged = [code for tag, code in blocks if not tag and code.strip()]
    for found in (right, alike, untagged):
        if found:
            # A whole program, if there is one, rather than a part of it that is explained afterwards.
            return next((code for code in reversed(found) if _has_main(language, code)), found[-1])
    if not blocks and _looks_like_code(language, answer):
        return answer
    return _around_main(answer) if language == "cpp" else None


def _has_main(language: str, code: str) -> bool:
    return language == "cpp" and bool(re.search(r"\bmain\s*\(", code))


def _blocks(text: str) -> list[tuple[str, str]]:
    """(tag, code) of each fenced block; one that is never closed runs to the end."""
    blocks: list[tuple[str, str]] = []
    opened: tuple[str, str, list[str]] | None = None
    for line in text.split("\n"):
        if opened is None:
            if match := _BEGIN.match(line.strip()):
                opened = (match[1] or match[3], (match[2] or match[4] or "").lower().strip("{}."), [])
        elif (code := _before_closer(line, opened[0])) is not None:
            blocks.append((opened[1], "\n".join([*opened[2], code] if code else opened[2])))
            opened = None
        else:
            opened[2].append(line)
    if opened is not None:
        blocks.append((opened[1], "\n".join(opened[2])))
    return blocks


def _before_closer(line: str, fence: str) -> str | None:
    """What stands in a line before the end of a block that `fence` began; None if it does not end there."""
    code = line.rstrip().rstrip(fence[0])
    closer = line.rstrip()[len(code) :]
    closes = closer == fence if code.strip() else len(closer) >= len(fence)
    return code.rstrip() if closes else None


def _looks_like_code(language: str, text: str) -> bool:
    signs = {"cpp": r"#include\b|\bint\s+main\s*\(|\bsigned\s+main\s*\("}
    return bool(re.search(signs.get(language, r"^(import|from|def|print)\b|\binput\("), text, re.MULTILINE))
