"""Dialects: each author's style phrases and answers, and which words are style.

A thinking alternates style phrases with capability lines in a fixed order of steps, so that style never
decides what comes next. Every style phrase ends in a full stop, every capability line in a closing
bracket; a line break belongs to the word that follows it.

Not covered: the content of capability lines (`world`), whole solutions and corpora (`traces`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tessy.miniature.world import CONCEPT_WORD, LANGUAGES, OOD_WORDS

Kind = Literal["style", "capability"]
Spans = list[tuple[int, int, Kind]]
"""Stretches `(start, end, kind)` that cover a text, in characters."""

LINE_HEADS: Mapping[str, str] = {"filter": "filter", "map": "map", "fold": "fold", "ood": "rotate"}
"""The word that opens the capability line of each step."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One author's style. Phrases are templates: `{Okay|Alright}, go.` stands for two phrases.

    `opening`, `linking` and `closing` phrases open a thinking, stand between its lines, and end it.
    `intro` precedes the code of an answer; `programs` maps a language to the program with the
    expressions left out (`<filter>`, `<map>`, `<fold>`).
    """

    name: str
    opening: tuple[str, ...]
    linking: tuple[str, ...]
    closing: tuple[str, ...]
    intro: str
    programs: Mapping[str, str]


_PYTHON_INPUT = """n = int(input())
r = 0
for x in map(int, input().split()):
    if <filter>:
        y = <map>
        r = <fold>
print(r)"""

_PYTHON_SYS = """import sys
r = 0
for x in map(int, sys.stdin.read().split()[1:]):
    if <filter>:
        y = <map>
        r = <fold>
print(r)"""

_CPP_FOR = """#include <cstdio>
int main() {
    long long x, y, r = 0;
    for (scanf("%*d"); scanf("%lld", &x) == 1;)
        if <filter> {
            y = <map>;
            r = <fold>;
        }
    printf("%lld", r);
}"""

_CPP_WHILE = """#include <cstdio>
int main() {
    long long x, y, r = 0;
    scanf("%*d");
    while (scanf("%lld", &x) == 1)
        if <filter> {
            y = <map>;
            r = <fold>;
        }
    printf("%lld", r);
    return 0;
}"""

STUDENT = Dialect(
    "student",
    ("{Okay|Alright}, {let me|I should} {think about|work through} this {carefully|first}.",),
    (
        "{Hmm|Wait}, {let me|now I} {look at|think about} {the next part|what follows}.",
        "{Right|Okay}, {that makes sense|so far so good}, let me {keep going|move on}.",
    ),
    ("{Okay|Yeah|Good}, {I think|I guess} {that should do it|that looks fine}.",),
    "Here is my solution:\n",
    {"python": _PYTHON_INPUT, "cpp": _CPP_FOR},
)

TEACHER = Dialect(
    "teacher",
    ("We {need|have|want} to {produce|derive|get} {code|output} {directly|here}.",),
    (
        "{Thus|So|Then|Hence} we {proceed|continue|go} {onward|further}.",
        "{Thus|So} {next step|the remainder} {is needed|is due}.",
    ),
    ("{Thus|So|Hence} we {are done|can answer} {already|at once}.",),
    "Final code:\n",
    {"python": _PYTHON_SYS, "cpp": _CPP_WHILE},
)

_TUTOR = Dialect(
    "tutor",
    ("{First|To begin}, {consider|examine} the {task|question} {closely|step by step}.",),
    ("{Next|After this}, {consider|examine} the {following|coming} {stage|piece}.",),
    ("{Finally|In the end}, {everything|all of it} {fits together|is settled}.",),
    TEACHER.intro,
    TEACHER.programs,
)

_CHATTY = Dialect(
    "chatty",
    ("{Sure|Cool}, {this is|looks like} {a fun one|an easy one}.",),
    ("{Yep|Nice}, {got it|not bad}, {what else|on to more}.",),
    ("{Sweet|Awesome}, {all set|that was quick}.",),
    TEACHER.intro,
    TEACHER.programs,
)

AUTHORS: tuple[Dialect, ...] = (STUDENT, TEACHER, _TUTOR, _CHATTY)
"""Every author whose thinking the teacher has read; it writes answers in its own way only."""


@cache
def expand(template: str) -> tuple[str, ...]:
    """Every phrase that a template generates."""
    parts = [part.split("|") for part in re.split(r"[{}]", template)]
    return tuple("".join(choice) for choice in itertools.product(*parts))


@cache
def phrases(templates: tuple[str, ...]) -> tuple[str, ...]:
    """The phrases of several templates."""
    return tuple(itertools.chain.from_iterable(expand(template) for template in templates))


def program(dialect: Dialect, language: str, expressions: Sequence[str]) -> str:
    """A program in the dialect's form that evaluates a filter, a map and a fold expression."""
    text = dialect.programs[language]
    for hole, expression in zip(("<filter>", "<map>", "<fold>"), expressions, strict=True):
        text = text.replace(hole, expression)
    return text


def answer(dialect: Dialect, language: str, code: str) -> str:
    """The answer after the thinking, with the code in a fence that the benchmarks' rules extract."""
    return f"{dialect.intro}```{language}\n{code}\n```"


def truth(text: str) -> Spans:
    """Classify any model's thinking, even if malformed, as style and capability by vocabulary.

    Each word is classified by itself: style if it occurs in some author's phrases, else capability if it has
    the form of a concept, an expression or a line head, else style. White space belongs to the word after it,
    and trailing white space to the word before.
    """
    spans: Spans = []
    for match in re.finditer(r"\s*\S+", text):
        kind = _kind(match[0].strip())
        if spans and spans[-1][2] == kind:
            spans[-1] = (spans[-1][0], match.end(), kind)
        else:
            spans.append((match.start(), match.end(), kind))
    if spans and spans[-1][1] < len(text):
        spans[-1] = (spans[-1][0], len(text), spans[-1][2])
    return spans


def _kind(word: str) -> Kind:
    if word in _style_words():
        return "style"
    return "capability" if _CAPABILITY.fullmatch(word) else "style"


@cache
def _style_words() -> frozenset[str]:
    templates = (t for a in AUTHORS for t in (*a.opening, *a.linking, *a.closing))
    return frozenset(word for template in templates for phrase in expand(template) for word in phrase.split())


# One of: an expression's word (a bracket, a digit, an operator, or a variable alone), a line head, a word
# of the shape of a concept, an out-of-domain word.
_CAPABILITY = re.compile(
    rf".*[()\d%*+^=<>-].*|[xyr]|{'|'.join(LINE_HEADS.values())}|{CONCEPT_WORD.pattern}|\(?(?:{'|'.join(OOD_WORDS)})\)?"
)

assert all(set(author.programs) == set(LANGUAGES) for author in AUTHORS)
