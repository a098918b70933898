"""What happens to a problem statement on its way through the data sets: one kind of edit each.

Kinds are named as the tables of tessy/curation_rules/README.md name them. All work on any text.
"""

from __future__ import annotations

import html
import random
import re
import string
from collections.abc import Callable, Mapping, Sequence

Edit = Callable[[str, random.Random], str]
_VARIABLE = re.compile(r"`([A-Za-z_]\w{0,20})`|(?<![\w\\])([b-zB-HJ-Z])(?![\w'])")
_SECTION = re.compile(r"^[\s#*]*(?:sample|example|input:|>>>)", re.IGNORECASE | re.MULTILINE)
"""Where examples begin."""


def _words_edited(share: float) -> Edit:
    """Of the words, `share` are replaced, deleted, doubled with another or swapped with the next."""

    def edit(text: str, draw: random.Random) -> str:
        pieces = re.split(r"(\s+)", text)
        places = [i for i in range(0, len(pieces), 2) if pieces[i]]
        for place in draw.sample(places, round(share * len(places))):
            how = draw.randrange(4)
            if how == 0:
                pieces[place] = draw.choice(FILLERS)
            elif how == 1:
                pieces[place] = ""
            elif how == 2:
                pieces[place] += f" {draw.choice(FILLERS)}"
            elif place + 2 < len(pieces):
                pieces[place], pieces[place + 2] = pieces[place + 2], pieces[place]
        return "".join(pieces)

    return edit


_FILLERS = (
    "value result whole each every possible several certain total minimal maximal current final next other "
    "process element object group case quickly simply then also given single"
)
FILLERS: Sequence[str] = tuple(_FILLERS.split())


def _reordered(text: str, draw: random.Random) -> str:
    head, tail = _before_examples(text)
    sentences = re.split(r"(?<=[.!?])\s+", head.strip())
    draw.shuffle(sentences)
    return " ".join(sentences) + "\n\n" + tail


def _before_examples(text: str) -> tuple[str, str]:
    match = _SECTION.search(text, 1)
    return (text[: match.start()], text[match.start() :]) if match else (text, "")


def _renamed(text: str, draw: random.Random) -> str:
    """Every variable gets another name, the same wherever it stands."""
    found: list[str] = sorted({match[1] or match[2] for match in _VARIABLE.finditer(text)})
    names = [*string.ascii_lowercase[1:], *(f"{one}{two}" for one in "pqrstuvwxyz" for two in "abcdefgh")]
    draw.shuffle(names)
    new: dict[str, str] = dict(zip(found, [name for name in names if name not in found], strict=False))

    def other(match: re.Match[str]) -> str:
        name: str = match[1] or match[2]
        return f"`{new.get(name, name)}`" if match[1] else new.get(name, name)

    text = _VARIABLE.sub(other, text)
    # Names of several letters also stand without marks, as in examples.
    long = "|".join(re.escape(name) for name in found if len(name) > 2)
    if long:
        text = re.sub(rf"\b(?:{long})\b", lambda one: new.get(str(one[0]), str(one[0])), text)
    return text


def _renumbered(text: str, draw: random.Random) -> str:
    def other(match: re.Match[str]) -> str:
        return str(draw.randint(10 ** (len(match[0]) - 1), 10 ** len(match[0]) - 1))

    return re.sub(r"\d{1,18}", other, text)


def _sample_changed(text: str, draw: random.Random) -> str:
    head, tail = _before_examples(text)
    return head + _renumbered(tail, draw)


_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,12}\b")


def _other_names(text: str, draw: random.Random) -> str:
    """Other names for persons and places: what is capitalised inside a sentence."""
    names = ["Amara", "Boris", "Chiara", "Dmitri", "Elif", "Fatou", "Goran", "Hana", "Ilya", "Jamal"]
    found = sorted(set(_NAME.findall(text)))
    new = {name: draw.choice(names) for name in found}
    return re.sub(r"\b[A-Z][a-z]{2,12}\b", lambda match: new.get(match[0], match[0]), text)


def _as_html(text: str, draw: random.Random) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"(\w+)\^\{?(\w+)\}?", r"\1<sup>\2</sup>", text).replace("$", "")
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text).replace("&lt;=", "&le;").replace("\\le ", "&le; ")
    text = re.sub(r"\*\*([^*\n]+)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"^#+ (.*)$", r"<h3>\1</h3>", text, flags=re.MULTILINE)
    return "".join(f"<p>{part}</p>\n" for part in text.split("\n\n"))


def _as_latex(text: str, draw: random.Random) -> str:
    text = re.sub(r"(\w+)\^\{?(\w+)\}?", r"\1^{\2}", text.replace("$", ""))
    text = text.replace(" <= ", " \\leq ").replace(" >= ", " \\geq ").replace("\\le ", "\\leq ")
    text = re.sub(r"`([^`\n]+)`", r"\\texttt{\1}", text)
    text = re.sub(r"\*\*([^*\n]+)\*\*", r"\\textbf{\1}", text)
    text = re.sub(r"^#+ (.*)$", r"\\section*{\1}", text, flags=re.MULTILINE)
    return re.sub(r"(?<![\w\\{])([b-zB-HJ-Z])(?![\w'])", r"$\1$", text)


HEADINGS: Mapping[str, str] = {
    "sample input": "Пример входных данных",
    "sample output": "Пример выходных данных",
    "input": "Entrada",
    "output": "Salida",
    "examples": "Beispiele",
    "example": "Beispiel",
    "constraints": "制約",
    "explanation": "Explicación",
    "note": "Примечание",
    "returns": "Renvoie",
    "follow-up": "Zusatz",
}


def _headings_translated(text: str, draw: random.Random) -> str:
    words = "|".join(HEADINGS)
    return re.sub(
        rf"^([\s#*]*)({words})\b",
        lambda match: match[1] + HEADINGS[match[2].lower()],
        text,
        flags=re.IGNORECASE | re.MULTILINE,
    )


def _wrapped(text: str, draw: random.Random) -> str:
    """As a prompt: between instructions."""
    return (
        "You are an expert competitive programmer. Read the problem below carefully, think step by step "
        "about the constraints and about corner cases, and then write a complete program that solves it "
        f"within the limits.\n\n### Problem\n\n{text}\n\n### Format\n\nRead from standard input and write "
        "to standard output. Enclose your code in one block between three backticks and write nothing after "
        "it.\n"
    )


EDITS: Mapping[str, Edit] = {
    "exact": lambda text, draw: text,
    "white space and case": lambda text, draw: re.sub(r"\s+", "  ", text).upper(),
    "HTML": _as_html,
    "LaTeX": _as_latex,
    "headings translated": _headings_translated,
    "sample test changed": _sample_changed,
    "edited by 2 %": _words_edited(0.02),
    "edited by 5 %": _words_edited(0.05),
    "edited by 10 %": _words_edited(0.10),
    "edited by 20 %": _words_edited(0.20),
    "sentences reordered": _reordered,
    "names changed": _other_names,
    "variables renamed": _renamed,
    "numbers changed": _renumbered,
    "between instructions": _wrapped,
}
