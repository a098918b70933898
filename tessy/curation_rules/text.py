"""Prompts as comparable text: normalised, masked, as shingles and as a digest. Pure and deterministic.

Not covered: meaning. Two wordings of one problem have nothing in common here.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

# Normalised text ----------------------------------------------------------------------------------


def normalise(text: str) -> str:
    """Lower-case words with one space between them, without markup: equal for texts that differ in format
    only.

    HTML, Markdown and LaTeX markup, punctuation, ligatures and width variants, invisible characters and digit
    grouping are gone; a character of a script without spaces is a word. Normalising twice changes nothing;
    the result can be encoded, and is empty where there are no words.
    """
    text = _without_markup(text)
    while True:
        before = text
        text = " ".join(_folded(text).split())
        if text.isascii() or text == before:
            return text


def _without_markup(text: str) -> str:
    if "<" in text:
        text = _SPACED_TAG.sub(" ", _JOINED_TAG.sub("", _COMMENT.sub(" ", text)))
    if "&" in text:
        text = html.unescape(text)
    if "](" in text:
        text = _LINK.sub(r" \1 ", text)
    if "," in text or "\\" in text or not text.isascii():
        text = _GROUPED.sub(lambda match: _SEPARATOR.sub("", match[0]), text)
    if "\\" in text:
        text = _COMMAND.sub(_spoken, _ENVIRONMENT.sub(" ", text))
    return text


def _folded(text: str) -> str:
    """The text with letters, numbers and marks alone, case and compatibility folded."""
    if text.isascii():
        return text.lower().translate(_TABLE)
    text = _PUNCTUATION.sub(" ", text)
    if text.isascii():
        return text.lower().translate(_TABLE)
    text = _INVISIBLE.sub("", _RAISED.sub(r" \g<0>", text))
    while True:
        folded = unicodedata.normalize("NFKC", text.casefold())
        if folded == text:
            return text.translate(_TABLE)
        text = folded


_COMMENT = re.compile(r"<!--(?:[^<]|<(?!!--))*?-->")
_ATTRIBUTES = r"(?:\s+[\w:-]+\s*=[^<>]{0,2000}|\s{0,9})"
_JOINED_TAG = re.compile(
    rf"</?(?:b|i|u|s|em|strong|span|tt|var|code|font|small|big|kbd|samp|a|nobr){_ATTRIBUTES}/?>",
    re.IGNORECASE,
)
"""Tags inside a word or beside it."""
_SPACED_TAG = re.compile(
    rf"</?(?:p|br|hr|div|sub|sup|ul|ol|li|dl|dt|dd|pre|img|table|thead|tbody|tr|td|th|h[1-6]|center|section|"
    rf"blockquote|figure|html|body|math|script|style){_ATTRIBUTES}/?>",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:\{,\}|\\,|,|[\u00a0\u2009\u202f])\d{3})+(?!\d)")
_SEPARATOR = re.compile(r"\D+")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[^{}]{0,40}\}")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?")
_PUNCTUATION = re.compile(
    "[\u00a0\u00b7\u00d7\u2009\u2013\u2014\u2018-\u201d\u2022\u2026\u2032\u2192\u2212\u2260\u2264\u2265]+"
)
"""The commonest characters besides ASCII, none of which folds to a letter: without them most texts are
ASCII."""
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u2080-\u2089]+")
"""Superscript and subscript digits, which compatibility folding would join to the number before them."""
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]"
)
_GREEK = {unicodedata.name(letter).split()[-1].lower(): letter for letter in map(chr, range(0x3B1, 0x3CA))}
"""By name; LaTeX and Unicode differ in the spelling of one."""
_RELATIONS = """
le leq leqslant ge geq geqslant lt gt ne neq equiv approx sim simeq cong propto in notin ni subset
subseteq supset supseteq cup cap setminus emptyset varnothing times cdot cdots ldots dots dotsc vdots
ddots div pm mp ast star circ bullet oplus otimes wedge vee land lor lnot neg to rightarrow leftarrow
Rightarrow Leftarrow leftrightarrow Leftrightarrow longrightarrow mapsto iff implies infty sum prod int
iint oint partial nabla forall exists mid nmid parallel perp angle triangle
"""
"""Commands for what is punctuation where it stands as a character."""
_LOOKS = """
frac dfrac tfrac cfrac sqrt text textbf textit texttt textrm textsc emph mathrm mathbf mathit mathcal
mathbb mathsf mathtt mathfrak boldsymbol bm operatorname displaystyle textstyle limits nolimits left right
big Big bigg Bigg bigl bigr Bigl Bigr lfloor rfloor lceil rceil langle rangle lvert rvert lVert rVert vert
Vert lbrace rbrace lbrack rbrack quad qquad hspace vspace smallskip medskip bigskip newline par noindent
hfill hline item itemize enumerate section subsection paragraph label ref cite footnote caption centering
overline underline bar hat tilde vec dot ddot widehat widetilde overrightarrow overbrace underbrace
stackrel underset overset substack phantom color textcolor href url includegraphics bf it rm tt em sc sl
"""
"""Commands that only say how something looks or where it stands."""
_SILENT = frozenset(f"{_RELATIONS} {_LOOKS}".split())
_SAID = {
    "pmod": "mod",
    "bmod": "mod",
    "varepsilon": "ε",
    "varphi": "φ",
    "vartheta": "θ",
    "lambda": "λ",
    **_GREEK,
}


def _spoken(command: re.Match[str]) -> str:
    """What a LaTeX command is as plain text; the name of one that is not known here, which may be a
    function."""
    name = command[1]
    return " " if name in _SILENT else f" {_SAID.get(name, name)} "


class _Table(dict[int, str]):
    """What becomes of a folded character; filled as characters occur."""

    def __missing__(self, code: int) -> str:
        self[code] = kept = self._kept(chr(code))
        return kept

    @staticmethod
    def _kept(character: str) -> str:
        kind = unicodedata.category(character)[0]
        if kind not in "LNM":
            return " "
        if _UNSPACED.match(character):
            return f" {character} " if kind != "M" else ""
        return character


_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Han: scripts that put no space between words."""
_TABLE = _Table()


# Masked text --------------------------------------------------------------------------------------


def masked(normal: str) -> str:
    """A normalised text in which every run of numbers and one-letter names is `0`: what is left is the
    wording."""
    return _NAMELESS.sub("0", normal)


_NAMELESS = re.compile(r"(?<!\S)(?:[a-zα-ω]|[a-z]?\d\S*)(?: (?:[a-zα-ω]|[a-z]?\d\S*))*(?!\S)")


# Hashes -------------------------------------------------------------------------------------------


def digest(normal: str) -> bytes:
    """16 bytes that tell normalised texts apart."""
    return hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def shingles(normal: str, words: int) -> Hashes:
    """Hashes of all runs of `words` words of a normalised text, sorted and distinct; of the whole text where
    it has fewer words, and none where it has no word."""
    return np.unique(runs(normal, words))


def runs(normal: str, words: int) -> Hashes:
    """Hashes of all runs of `words` words of a normalised text, in their order; else as `shingles`."""
    if not normal:
        return np.empty(0, np.uint64)
    return np.concatenate(list(_hashed(np.frombuffer(normal.encode(), np.uint8), words)))


_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_BLOCK = 1 << 14
"""Words that are hashed at once, to bound the memory of long texts."""


def _hashed(text: NDArray[np.uint8], words: int) -> Iterator[Hashes]:
    """Of every run, the polynomial of its bytes, modulo 2^64, from sums over all bytes before its ends."""
    spaces = np.flatnonzero(text == 32)
    starts, ends = np.append(0, spaces + 1), np.append(spaces, len(text))
    words = min(words, len(starts))
    for first in range(0, len(starts) - words + 1, _BLOCK):
        last = min(first + _BLOCK, len(starts) - words + 1)
        begin = starts[first:last] - starts[first]
        end = ends[first + words - 1 : last + words - 1] - starts[first]
        powers, inverses = _powers(int(end[-1]))
        terms = (text[starts[first] : starts[first] + end[-1]].astype(np.uint64) + np.uint64(1)) * powers
        sums = np.append(np.uint64(0), np.cumsum(terms, dtype=np.uint64))
        yield mixed((sums[end] - sums[begin]) * inverses[begin])


def _powers(size: int) -> tuple[Hashes, Hashes]:
    """The powers of the base and of its inverse, 0 to `size` - 1."""
    global _known
    if size > len(_known[0]):
        length = 1 << size.bit_length()
        steps = [np.full(length, base, np.uint64) for base in (_BASE, _INVERSE)]
        for one in steps:
            one[0] = 1
        _known = (np.cumprod(steps[0], dtype=np.uint64), np.cumprod(steps[1], dtype=np.uint64))
    return _known[0][:size], _known[1][:size]


_known: tuple[Hashes, Hashes] = (np.empty(0, np.uint64), np.empty(0, np.uint64))


def mixed(values: Hashes) -> Hashes:
    """MurmurHash3's finaliser, which spreads every bit over all."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
