"""Final answers in prose: where a response states one. Pure, and linear in the length of the response."""

from __future__ import annotations

import re

_END_OF_THINKING, _START_OF_THINKING = "</think>", "<think>"
_FINAL = "final answer is"
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?P<group>\{)|\\boxed\s+(?P<bare>[^\s{$.,]+)|\\.|[{}]", re.DOTALL)
_GAP = r"(?:[\s$]|\\[\[\]()!:,; ]|\\q?quad)*"
_AND = r"(?:[,;]|and|or|\\(?:text|textrm|mathrm|mbox)\{\s*,?\s*(?:and|or)\s*\})"
_LISTED = re.compile(f"{_GAP}(?:{_AND}{_GAP}){{1,2}}")


def after_thinking(response: str) -> str:
    """The text after the thinking; empty if the thinking never ended."""
    if _END_OF_THINKING in response:
        return response.rpartition(_END_OF_THINKING)[2]
    return "" if unfinished(response) else response


def unfinished(response: str) -> bool:
    """Whether thinking was begun and never ended: the response was truncated."""
    return _START_OF_THINKING in response and _END_OF_THINKING not in response


def letter(response: str, letters: str = "ABCD") -> str | None:
    """The last choice stated as `Answer: X` (simple-evals' form), on that line or as the next line, whatever
    emphasis, brackets or LaTeX style is around it."""
    style = r"\\(?:boxed|text|textbf|mathrm|mathbf|mathsf|bf|rm)[ \t]?\{?"
    around = rf"(?:[ \t*_$(\[{{]|\\[(\[]|{style})" + "{0,20}"
    found = re.findall(
        rf"(?i:answer){around}:{around}(?:\n\s{{0,5}}{around})?([{letters}])(?![A-Za-z])", response
    )
    return found[-1] if found else None


def boxed(response: str) -> str | None:
    """What the last \\boxed{} or \\fbox{} holds, braces balanced; where the line that states the final answer
    has several, or where only `and`, `or` and commas stand between the last ones, all of them, as
    OlympiadBench's scorer reads them."""
    found = _boxes(response)
    if not found:
        return None
    line = response.rfind("\n", 0, found[-1][0])
    stated = response.find(_FINAL, line + 1, found[-1][0])
    first = len(found) - 1
    while first and _LISTED.fullmatch(response, found[first - 1][1], found[first][0]):
        first -= 1
    wanted = found[first:] if stated < 0 else [box for box in found if box[0] > stated]
    return ",".join(content for *_, content in wanted)


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
