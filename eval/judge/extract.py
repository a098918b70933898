"""Finds the program in a model's answer, by each benchmark's rule.

`strict` rules are the official judges', quirks included: what they miss counts as missed.
`fixed` asks what the author meant: the last program in the right language after any thinking, however it is
tagged.
Pure; never raises on any text. Not covered: languages other than C++ and Python.
"""

from __future__ import annotations

import re
from bisect import bisect_right
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
    blocks = re.findall(r"^```cpp\s*\n(.*?)\n```", response, re.DOTALL | re.MULTILINE)
    with_include = [block for block in blocks if "#include" in block]
    return with_include[-1].strip() if with_include else _around_main(response)


def _around_main(response: str) -> str | None:
    """The last main with an #include in or before it: from there on to the brace that closes it, if any."""
    lines = response.splitlines()
    # Officially every line break counts as one character, so after CRLFs a line is looked for too far ahead.
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    for main in reversed(list(_MAIN.finditer(response)) if "#include" in response else []):
        opened = response.find("{", main.end())
        if opened < 0:
            continue
        at = bisect_right(starts, main.start()) - 1 if main.start() < starts[-1] else 0
        code = response[starts[_first_include(lines, at)] : _closing_brace(response, opened)].strip()
        if "#include" in code:
            return code
    return None


def _first_include(lines: list[str], at: int) -> int:
    """The first of the nearest #include lines at or above line `at`; that line where there are none."""
    includes = [line.lstrip().startswith("#include") for line in lines[: at + 1]]
    if True not in includes:
        return at
    first = at - includes[::-1].index(True)
    while first > 0 and includes[first - 1]:
        first -= 1
    return first


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
    blocks = _blocks(answer)
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
        bare = line.strip()
        if opened is None:
            if match := re.match(r"(`{3,}|~{3,})\s*([^\s`]*)", bare):
                opened = (match[1], match[2].lower().strip("{}."), [])
        elif bare.startswith(opened[0]) and not bare.strip(opened[0][0]):
            blocks.append((opened[1], "\n".join(opened[2])))
            opened = None
        else:
            opened[2].append(line)
    if opened is not None:
        blocks.append((opened[1], "\n".join(opened[2])))
    return blocks


def _looks_like_code(language: str, text: str) -> bool:
    signs = {"cpp": r"#include\b|\bint\s+main\s*\(|\bsigned\s+main\s*\("}
    return bool(re.search(signs.get(language, r"^(import|from|def|print)\b|\binput\("), text, re.MULTILINE))
