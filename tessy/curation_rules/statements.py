"""The parts of a problem statement: headings and their bodies, examples, lines of code, prose.

A reading of common layouts, not a parser: what it does not recognise, it does not see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_HEADING = re.compile(
    r"^[\s#*_>\-]{0,8}((?:(?:sample|example)s?\s*)?(?:input|output)s?|(?:sample|example)s?(?:\s+tests?)?|notes?|"
    r"explanations?|constraints|(?:official |reference |model )?solution|editorial)"
    r"(?:\s+(?:format|data))?\s*#?(\d{0,3})[\s*_]{0,4}(:?)[ \t*_]{0,4}(.*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A heading in lower case, without its number, and what stands under it, without fences and outer
    space."""

    heading: str
    body: str


def parts(prompt: str) -> Iterator[Part]:
    """What stands under each heading that is known here, in order."""
    heading, body = "", list[str]()
    for line in prompt.split("\n"):
        match = _HEADING.match(line) if len(line) < 200 else None
        # Without a colon a heading has its line to itself.
        if match and (match[3] or not match[4].strip()):
            if heading:
                yield Part(heading, _bare(body))
            heading, body = match[1].lower(), [match[4]]
        elif heading:
            body.append(line)
    if heading:
        yield Part(heading, _bare(body))


def _bare(lines: list[str]) -> str:
    return "\n".join(line for line in lines if not line.lstrip().startswith("```")).strip()


def examples(there: Sequence[Part]) -> list[tuple[str, str]]:
    """Bodies of each input heading and the output heading right after it."""
    return [
        (one.body, other.body)
        for one, other in pairwise(there)
        if "input" in one.heading and "output" in other.heading
    ]


_CODE = re.compile(
    r"^(?:\s{4,}\S.*|.*[;{}]|.*\)\s*:|\s*(?:#include|import |from \w+ import|def |class |return\b|print\(|"
    r"using |public |private |else:|@\w+).*)\s*$"
)
_COMMENT = re.compile(r"^\s*(?:#(?!include)|//|/?\*+|--)\s*")


def code_share(prompt: str) -> float:
    """Share of the characters, white space aside, in lines of code; comments and doc strings count as
    prose."""
    code = whole = 0
    fenced = quoted = False
    for line in prompt.split("\n"):
        stripped = line.strip()
        if stripped.startswith("```"):
            fenced = not fenced
            continue
        marks = stripped.count('"""') + stripped.count("'''")
        prose = quoted or marks > 0 or bool(_COMMENT.match(stripped))
        quoted ^= marks % 2 == 1
        whole += len(stripped)
        if stripped and not prose and (fenced or _CODE.match(line[:500])):
            code += len(stripped)
    return code / whole if whole else 0.0
