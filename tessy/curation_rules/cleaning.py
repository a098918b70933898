"""What is wrong with one prompt, each rule by itself, with the place where it shows.

Not covered: whether the problem can be solved, and facts that need a model. The rules look for signs; what a
corpus loses by them is for its user to see in the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tessy.config.curation import Action, Cleaning
from tessy.curation_rules.characters import repair as repair
from tessy.curation_rules.language import language
from tessy.curation_rules.statements import Part, code_share, examples, parts
from tessy.curation_rules.text import normalise

EVIDENCE = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a prompt breaks. `evidence` is a measured value, or at most 200 characters of the
    prompt."""

    rule: str
    evidence: str
    removes: bool


def clean(prompt: str, tokens: Mapping[str, int], settings: Cleaning) -> list[Finding]:
    """The rules that a repaired `prompt` breaks, in the order of `RULES`, each once.

    `tokens` is its length in the tokens of each role of `settings.max_tokens`; roles that are missing there
    are not looked at.
    """
    found, shown = [], _Prompt(prompt, tokens)
    for rule, action, look in _rules(settings):
        evidence = next(look(shown, settings), None)
        if evidence is not None:
            found.append(Finding(rule, _short(evidence), action == "remove"))
    return found


@dataclass(frozen=True)
class _Prompt:
    """A prompt, and what several rules want to know of it."""

    text: str
    tokens: Mapping[str, int]

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def parts(self) -> list[Part]:
        return list(parts(self.text)) if self.has("put", "solution", "editorial") else []

    def has(self, *pieces: str) -> bool:
        """Whether any of the lower-case `pieces` is there: far faster than the pattern that follows."""
        return any(piece in self.lower for piece in pieces)


_Rule = tuple[str, Action, Callable[[_Prompt, Cleaning], Iterator[str]]]
"""A rule's name, what its findings do, and what looks for them."""


def _short(evidence: str) -> str:
    text = " ".join(evidence[: 4 * EVIDENCE].split())
    return text if len(text) <= EVIDENCE else text[: EVIDENCE - 1] + "…"


def _around(match: re.Match[str]) -> str:
    """The match with some text before and after it."""
    return match.string[max(0, match.start() - 40) : match.end() + 40]


# Length and characters ----------------------------------------------------------------------------


def _lost_characters(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if "\ufffd" in prompt.text:
        at = prompt.text.index("\ufffd")
        yield prompt.text[max(0, at - 40) : at + 40]


def _too_short(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if len(prompt.text.split(maxsplit=2 * settings.min_words)) > 2 * settings.min_words:
        return
    normal = normalise(prompt.text)
    words = normal.count(" ") + 1 if normal else 0
    if words < settings.min_words:
        yield f"{words} words, and min_words is {settings.min_words}: {prompt.text}"


def _too_long(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if len(prompt.text) > settings.max_characters:
        yield f"{len(prompt.text)} characters, and max_characters is {settings.max_characters}"
    for role, most in settings.max_tokens.items():
        if prompt.tokens.get(role, 0) > most:
            yield f"{prompt.tokens[role]} tokens of the {role}, and max_tokens is {most}"


def _language(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if settings.languages and (found := language(prompt.text)):
        code, probability = found
        if code not in settings.languages and probability >= settings.language_probability:
            yield f"{code} ({probability:.0%}): {prompt.text}"


# What got lost ------------------------------------------------------------------------------------

_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_HALF_RELATION = re.compile(
    r"(?:≤|≥|<=|>=|\\leq?(?![a-z])|\\geq?(?![a-z]))[ \t]*(?:≤|≥|<=|>=|\\leq?(?![a-z])|\\geq?(?![a-z])|"
    r"[,;.)](?!\d)|\n|\Z)"
)
_GAP = re.compile(
    r"\b(?:integers?|numbers?|of|and|are|is|than|by|array|string|length|with|contains?)(?:"
    r" {2,}(?:and|is|are|of|integers?|numbers?|lines?|characters?|elements?|\()|[ ]+[,;.](?=\s|\Z))|, +,"
)
_GAPS = 2
"""In one prompt: a single one may be a slip of the pen."""
_EMPTY_BRACKETS = re.compile(r"\\\(\s*\\\)|\\\[\s*\\\]")
_DOLLARS = re.compile(r"\$+")
_NO_FORMULA = re.compile(r"(?<!\$)(?:\${4}|\${6})(?!\$)")


def _lost_formula(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    text = prompt.text
    prose = _FENCE.sub("\n\n", text) if "```" in text else text
    if prompt.has("≤", "≥", "<=", ">=", "\\le", "\\ge"):
        yield from map(_around, _HALF_RELATION.finditer(prose))
    if prompt.has("\\(", "\\["):
        yield from map(_around, _EMPTY_BRACKETS.finditer(prose))
    if prompt.has("$$$$"):
        yield from map(_around, _NO_FORMULA.finditer(prose))
    pieces = _DOLLARS.split(prose) if "$" in prose else [prose]
    # An odd number of delimiters is money or a fault of its own, and does not tell formulas from prose.
    if len(pieces) % 2:
        for before, formula, after in zip(pieces[::2], pieces[1::2], pieces[2::2], strict=False):
            if not formula.strip():
                yield f"{before[-40:]}${formula}${after[:40]}"
    # Where many spaces are double, they are nobody's place.
    if prompt.has("  ", " ,", " .", " ;") and prose.count("  ") < 0.1 * prose.count(" "):
        gaps = list(_GAP.finditer(prose))
        if len(gaps) >= _GAPS:
            yield from map(_around, gaps)


_PICTURES = ("figure", "picture", "diagram", "image", "illustration")
_PICTURE = rf"(?:{'|'.join(_PICTURES)})"
_IMAGE = re.compile(
    rf"<img\b|!\[[^\]\n]{{0,200}}\]\(|\\includegraphics|\[(?:asy|img|{_PICTURE})\b[^\]\n]{{0,40}}\]|"
    rf"\b{_PICTURE}s? (?:below|above|on the (?:left|right)|shows?|illustrates?)\b|\bfollowing {_PICTURE}\b|"
    rf"\b(?:shown|given|depicted|see|look|in|at|on)(?: (?:in|at|on))? the (?:following )?{_PICTURE}\b",
    re.IGNORECASE,
)
_AFTER_STATEMENT = re.compile(
    r"^[\s#*_]*(?:sample|example|note|explanation)s?\b", re.IGNORECASE | re.MULTILINE
)


def _lost_image(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if prompt.has(*_PICTURES, "<img", "![", "\\include", "[asy", "[img"):
        # A picture that explains an example is no loss.
        end = _AFTER_STATEMENT.search(prompt.text)
        yield from map(_around, _IMAGE.finditer(prompt.text, 0, end.start() if end else len(prompt.text)))


# Examples, code and answers -----------------------------------------------------------------------


def _empty_example(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    for part in prompt.parts:
        if not part.body and ("input" in part.heading or "output" in part.heading):
            yield f"nothing under {part.heading!r}"


def _duplicate_example(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    seen = set[tuple[str, str]]()
    for example in examples(prompt.parts):
        if all(example) and example in seen:
            yield f"twice: {example[0]}"
        seen.add(example)


def _code_only(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if prompt.has("\n", ";") and (share := code_share(prompt.text)) >= settings.code_share:
        yield f"{share:.0%} of it are code: {prompt.text}"


_ANSWER = re.compile(
    r"</?think>|<\|im_start\|>assistant|<\|assistant\|>|^(?:assistant|gpt)\s*:|"
    r"\\boxed\s*\{(?!\s*(?:\}|\.|\\[lcd]?dots|\\text|[^{}]*\banswer))",
    re.IGNORECASE | re.MULTILINE,
)
_FINAL = re.compile(
    r"(?:^|[.?!:]\s)[\s#*_]*(?:the )?(?:final |correct )?answer\s*[:=][\s*_]*[^\s*_(<\[]", re.IGNORECASE
)


def _contains_answer(prompt: _Prompt, settings: Cleaning) -> Iterator[str]:
    if prompt.has("think>", "<|", "boxed", "assistant", "gpt"):
        yield from map(_around, _ANSWER.finditer(prompt.text))
    for part in prompt.parts:
        if part.body and part.heading.endswith(("solution", "editorial")):
            yield f"{part.heading}: {part.body}"
    last = prompt.text.rstrip().rpartition("\n")[2]
    if len(last) < 1000 and "answer" in last.lower() and _FINAL.search(last):
        yield last


def _rules(settings: Cleaning) -> Iterator[_Rule]:
    yield "too_short", settings.too_short, _too_short
    yield "too_long", settings.too_long, _too_long
    yield "lost_characters", settings.lost_characters, _lost_characters
    yield "language", settings.language, _language
    yield "lost_formula", settings.lost_formula, _lost_formula
    yield "lost_image", settings.lost_image, _lost_image
    yield "code_only", settings.code_only, _code_only
    yield "contains_answer", settings.contains_answer, _contains_answer
    yield "empty_example", settings.empty_example, _empty_example
    yield "duplicate_example", settings.duplicate_example, _duplicate_example


def actions(settings: Cleaning) -> dict[str, Action]:
    """What a finding of each rule does to its row, in the order of `RULES`."""
    return {rule: action for rule, action, _ in _rules(settings)}


RULES = tuple(actions(Cleaning()))
"""In the order in which they are applied; a row is counted under the first that removes it."""
