"""Final answers in prose: where a response states one. Pure, and linear in the length of the response."""

from __future__ import annotations

import re

_END_OF_THINKING, _START_OF_THINKING = "</think>", "<think>"
_FINAL = "final answer is"
_BOX = re.compile(
    r"\\{1,2}(?:boxed|fbox|framebox)\s*(?P<group>\{)|\\boxed\s+(?P<bare>[^\s{$.,]+)|\\.|[{}]", re.DOTALL
)
"""A box's begin, even where its backslash is doubled as in a string of a program."""
_FORMULA = re.compile(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$|\\\((.+?)\\\)")
_GAP = r"(?:[\s$]|\\[\[\]()!:,; ]|\\q?quad)*"
_AND = r"(?:[,;]|and|or|\\(?:text|textrm|mathrm|mbox)\{\s*,?\s*(?:and|or)\s*\})"
_LABEL = r"(?:\(?(?:[a-h]|[ivx]{1,4}|\d{1,2})[).]|\n[ \t]*[-*•]|&)"
_NAME = r"(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?\s*="
_LISTED = re.compile(
    f"{_GAP}(?:{_AND}{_GAP}){{1,2}}(?:{_LABEL}{_GAP})?(?:{_NAME}{_GAP})?|{_GAP}{_LABEL}{_GAP}(?:{_NAME}{_GAP})?"
)
"""What may stand between the boxes of one list: commas and words, labels like `(b)` or `2.`, names."""
_UNWORDED = re.compile(r"(?!.*[A-Za-z]{2}).*\d.*")
_MOST_STATED, _MOST_OF_A_LINE = 500, 2000


def after_thinking(response: str) -> str:
    """The text after the thinking; empty if the thinking never ended. Where nothing follows its last part,
    the text before that part."""
    if _END_OF_THINKING in response:
        before, _, after = response.rpartition(_END_OF_THINKING)
        if after.strip():
            return after
        return before.rpartition(_START_OF_THINKING)[0].rpartition(_END_OF_THINKING)[2]
    return "" if unfinished(response) else response


def unfinished(response: str) -> bool:
    """Whether thinking was begun and never ended: the response was truncated."""
    return _START_OF_THINKING in response and _END_OF_THINKING not in response


def letter(response: str, letters: str = "ABCD") -> str | None:
    """The last choice stated as `Answer: X` (simple-evals' form), on that line or as the next line, whatever
    emphasis, brackets or LaTeX style is around it. On the next line, `A` may begin a sentence instead."""
    style = r"\\(?:boxed|text|textbf|mathrm|mathbf|mathsf|bf|rm)[ \t]?\{?"
    around = rf"(?:[ \t*_$(\[{{]|\\[(\[]|{style})" + "{0,20}"
    choice = rf"([{letters}])(?![A-Za-z]"
    next_line = rf"\n\s{{0,5}}{around}{choice}|[ \t]+[a-z])"
    found = re.findall(rf"(?i:answer){around}:{around}(?:{choice})|{next_line})", response)
    return "".join(found[-1]) if found else None


def boxed(response: str) -> str | None:
    """What the last \\boxed{} or \\fbox{} that is not empty holds, braces balanced; where the line
    that states the final answer has several, or where only `and`, `or`, commas, labels and names stand
    between the last ones, all of them, as OlympiadBench's scorer reads them."""
    found = [box for box in _boxes(response) if box[2]]
    if not found:
        return None
    line = response.rfind("\n", 0, found[-1][0])
    stated = response.find(_FINAL, line + 1, found[-1][0])
    first = len(found) - 1
    while first and _LISTED.fullmatch(response, found[first - 1][1], found[first][0]):
        first -= 1
    wanted = found[first:] if stated < 0 else [box for box in found if box[0] > stated]
    return ",".join(content for *_, content in wanted)


def stated(response: str) -> str | None:
    """The answer of a response without a box, as OlympiadBench's scorer reads it: what the last line with
    `final answer is` says behind that, otherwise the last line's formulas, or a response without words."""
    response = response.strip()
    begin = response.rfind(_FINAL)
    behind = response[begin + len(_FINAL) :].partition("\n")[0] if begin >= 0 else ""
    behind = behind.strip(" \t:*_").removesuffix(".").strip(" *_")
    found = formulas(behind) or [behind] if behind else formulas(response)
    if not found and len(response) <= _MOST_STATED and _UNWORDED.fullmatch(response):
        found = [response]
    text = ",".join(found)
    return text if text and len(text) <= _MOST_STATED and "\\boxed" not in text else None


def formulas(text: str) -> list[str]:
    """The formulas of the last line, unless that is too long to be an answer."""
    line = (text.strip().splitlines() or [""])[-1]
    return [one or other for one, other in _FORMULA.findall(line)] if len(line) <= _MOST_OF_A_LINE else []


def boxes(response: str) -> list[str]:
    """What all boxes hold that are closed, in order."""
    return [content for *_, content in _boxes(response)]


def _boxes(response: str) -> list[tuple[int, int, str]]:
    """Begin, end and content of each box, without those that are in another or never closed."""
    found: list[tuple[int, int, str]] = []
    opened: list[tuple[int, int] | None] = []
    for match in _BOX.finditer(response):
        if match["bare"]:
            found.append((match.start(), match.end(), match["bare"]))
        elif match["group"]:
            opened.append(match.span())
        elif match.group() == "{":
            opened.append(None)
        elif match.group() == "}" and opened and (box := opened.pop()) is not None:
            while found and found[-1][0] > box[0]:
                found.pop()
            found.append((box[0], match.end(), response[box[1] : match.start()].strip()))
    return found
