r"""LaTeX answers as tokens, so that `\pi r^2` stays three symbols whatever is done with its spacing. Pure.

A token is a string: a number, a symbol (`x`, `\alpha`, `"kg` for an upright word), a bracket or an operator,
each in one spelling only: `\dfrac` is `\frac`, `≤` is `<=`. What does not change the meaning is left out.

Not covered: macros, environments other than matrices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Tokens = tuple[str, ...]
MOST_CHARACTERS = 2000
_MOST_NESTED = 8
WORD = '"'
"""What the token of an upright word begins with."""


def commands(names: str) -> frozenset[str]:
    """The LaTeX commands of these names."""
    return frozenset("\\" + name for name in names.split())


_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "∗": "*", "≤": "<=",
        "≥": ">=", "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ", "π": r"\pi ", "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ", "√": r"\sqrt ", "°": r"^\circ ", "±": r"\pm ", "∓": r"\mp ",
        "½": r"\frac12 ", "¼": r"\frac14 ", "¾": r"\frac34 ", "⅓": r"\frac13 ", "⅔": r"\frac23 ",
        "…": r"\dots ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
        "∅": r"\emptyset ",
        "，": ",", "。": ".", "（": "(", "）": ")", "：": ":", "∶": ":", "∖": r"\setminus ", "’": "'",
        "′": "'",
        "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ",
        "ω": r"\omega ", "φ": r"\phi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "Ω": r"\Omega ",
        "Δ": r"\Delta ", "ℏ": r"\hbar ", "ε": r"\epsilon ", "\u00a0": " ", "\u2009": " ", "•": r"\cdot ",
        "Å": r"\AA ",
        "ℝ": r"\mathbb R ", "ℤ": r"\mathbb Z ", "ℕ": r"\mathbb N ", "ℚ": r"\mathbb Q ", "≡": r"\equiv ",
        "→": r"\to ", "⁄": "/", "º": r"^\circ ", "∀": r"\forall ", "⅛": r"\frac18 ", "⅚": r"\frac56 ",
        **{chr(full): chr(full - 0xFEE0) for full in range(0xFF01, 0xFF5F)},
    }
)  # fmt: skip
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "₀₁₂₃₄₅₆₇₈₉"
_SCRIPTS = str.maketrans(_RAISED + _LOWERED, "0123456789+-n0123456789")
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"√\s*(\d+(?:\.\d+)?)"), r"\\sqrt{\1}"),
    (re.compile(f"([{_RAISED}]+)"), r"^{\1}"),
    (re.compile(f"([{_LOWERED}]+)"), r"_{\1}"),
    (re.compile(r"\\left\s*<"), r"\\langle "),
    (re.compile(r"\\right\s*>"), r"\\rangle "),
    (re.compile(r"(?<=\d)\{,\}(?=\d{1,2}(?!\d)|\d{4})"), "."),
    (re.compile(r"\{\s*\\rm(?![A-Za-z])([^{}]*)\}"), r"{\\mathrm{\1}}"),
    (re.compile(r"\\(?:text|mathrm)\s*\{\s*\(\s*mod\s+(\d+)\)\s*\}"), r"\\pmod{\1}"),
    (re.compile(r"\(\s*(?:\\(?:text|mathrm)\s*\{\s*mod\s*\}|\\?b?mod(?![A-Za-z]))([^()]*)\)"), r"\\pmod{\1}"),
    (re.compile(r"\\b?mod(?![A-Za-z])"), r"\\pmod "),
)
"""What is written in other ways before it is read: roots and scripts of single characters, a comma that is a
decimal point, plain TeX's upright letters, and congruences."""
_LEXEME = re.compile(
    r"\\begin\s*\{array\}\s*\{[lcr|\s]*\}|\\(?:begin|end)\s*\{(?:[a-z]*matrix|array|cases|align(?:ed)?|gathered)\*?\}|"
    r"\\(?:left|right|middle)\s*\.|\\[A-Za-z]+\*?|\\.|<=|>=|!=|\.{3}|"
    r"(?:\d{1,3}(?:(?:\\,|\\ |\{,\}|~| )\d{3})+(?!\d)(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|"
    r"[A-Za-z]+|[^\s\\]",
    re.DOTALL,
)
_GROUPING = re.compile(r"\\,|\\ |\{,\}|~| ")
_DROPPED = commands(
    "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm displaystyle"
    " tiny small normalsize large Large LARGE huge Huge"
    " textstyle limits nolimits quad qquad rm bf it mathstrut hfill par hline notag nonumber"
    " checkmark blacksquare qed"
    " , ; : ! ( ) [ ] $"
) | {"$", "~", "\\ ", "\\\n", "\\\t", '"', '\\"'}
_STYLES = commands(
    "mathbf boldsymbol bm mathit mathcal mathsf mathnormal boxed fbox ensuremath pmb underline mathop"
)
_LAYOUT = commands("color textcolor label tag hspace vspace phantom hphantom vphantom") | {
    "\\hspace*",
    "\\vspace*",
}
"""Commands that are left out together with an argument."""
_UPRIGHT = commands("text textbf textrm textit mathrm mbox operatorname operatorname* textnormal hbox textsf")
_ACCENTS = commands("vec hat bar tilde dot ddot overline widehat widetilde overrightarrow mathbb mathfrak")
_SAME = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom",
    r"\tbinom": r"\binom",
    r"\cdot": "*", r"\times": "*", r"\ast": "*", r"\div": "/", r"\le": "<=", r"\leq": "<=",
    r"\leqslant": "<=",
    r"\ge": ">=", r"\geq": ">=", r"\geqslant": ">=", r"\lt": "<", r"\gt": ">", r"\ne": "!=", r"\neq": "!=",
    r"\approx": "~", r"\simeq": "~", r"\sim": "~", r"\cong": "~", r"\equiv": r"\equiv", r"\lbrace": r"\{",
    r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lvert": "|", r"\rvert": "|", r"\vert": "|",
    r"\mid": "|", r"\varnothing": r"\emptyset", r"\varepsilon": r"\epsilon", r"\varphi": r"\phi",
    r"\vartheta": r"\theta", r"\colon": ":", r"\backslash": r"\setminus", r"\prime": "'",
    r"\degree": r"\circ",
    r"\tg": r"\tan", r"\ctg": r"\cot", r"\arctg": r"\arctan", r"\cosec": r"\csc", r"\wedge": r"\land",
    r"\bigcup": r"\cup", r"\R": r"\mathbb R", r"\Z": r"\mathbb Z", r"\N": r"\mathbb N", r"\Q": r"\mathbb Q",
    r"\percent": r"\%", r"\newline": r"\\", r"\operatorname*": r"\operatorname", r"\varrho": r"\rho",
    r"\ell": "l", r"\imath": "i", r"\jmath": "j", r"\rightarrow": r"\to", r"\ldots": r"\dots",
    r"\nicefrac": r"\frac", r"\sfrac": r"\frac", r"\hslash": r"\hbar",
    r"\AA": WORD + "angstrom", r"\implies": r"\Rightarrow", r"\iff": r"\Rightarrow",
    r"\cdots": r"\dots", r"\dotsc": r"\dots", r"\dotsb": r"\dots", r"\hdots": r"\dots", "...": r"\dots",
}  # fmt: skip
FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "sinh", "cosh", "tanh",
     "coth", "sech", "csch", "arcsec", "arccsc", "arcsinh", "arccosh", "arctanh", "arsinh", "arcosh",
     "artanh", "ln", "log", "lg", "exp", "min", "max", "gcd", "lcm"}
)  # fmt: skip
_SPELT_OUT = {"sqrt": r"\sqrt", "pi": r"\pi", "infinity": r"\infty", "infty": r"\infty"}
_WORDS = frozenset({"and", "or", "for", "where", "with"})
_PLAIN_UNITS = frozenset(
    {"cm", "mm", "km", "kg", "nm", "Hz", "kHz", "MHz", "GHz", "kJ", "MJ", "kN", "eV", "keV", "MeV", "GeV",
     "kW", "MW", "kPa", "MPa", "mol", "rad"}
)  # fmt: skip


_IDIOMS: tuple[tuple[Tokens, Tokens], ...] = (
    (("^", "{", r"\circ", "}"), (WORD + "degree",)),
    (("^", r"\circ"), (WORD + "degree",)),
    ((WORD + "degree", "C"), (WORD + "celsius",)),
    ((WORD + "degree", WORD + "C"), (WORD + "celsius",)),
    ((r"\%",), (WORD + "percent",)),
    *(((r"\mu", WORD + unit), (WORD + "u" + unit,)) for unit in "msgACFVHTW"),
    ((r"\langle",), ("(",)),
    ((r"\rangle",), (")",)),
    (("^", "{", "'", "}"), ("'",)),
    (("^", "{", "'", "'", "}"), ("'", "'")),
    (("^", "'"), ("'",)),
    *((("&", relation), (relation,)) for relation in ("=", "<", ">", "<=", ">=")),
    ((r"\{", r"\}"), (r"\emptyset",)),
    (("*", "*"), ("^",)),
    ((r"\\", r"\end"), (r"\end",)),
    ((r"\\", r"\end array"), (r"\end array",)),
    (("<", "="), ("<=",)),
    ((">", "="), (">=",)),
    (("{", "}"), ()),
)


def tokens(text: str) -> Tokens:
    """The tokens of an answer; raises `ValueError` for text that is too long or nested too deep to be one."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters are no answer")
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    found = list(_Tokeniser(text.translate(_SCRIPTS).translate(_UNICODE)).all())
    while found and found[-1] in (".", ",", ";", ":"):
        found.pop()
    while found and found[0] in (r"\Rightarrow", r"\to"):
        del found[0]
    for old, new in _IDIOMS:
        found = replaced(found, old, new)
    return tuple(_subscripts_first(_arrays(_degrees(found))))


def _degrees(found: Sequence[str]) -> list[str]:
    """Degrees where the circle follows a number; behind anything else it may compose functions."""
    return [
        WORD + "degree" if token == r"\circ" and before[-1:].isdigit() else token
        for before, token in zip(("", *found), found, strict=False)
    ]


def _arrays(found: list[str]) -> list[str]:
    """Arrays as cases where a brace is before one, as matrices without brackets of their own otherwise."""
    begin, end = r"\begin array", r"\end array"
    if begin not in found:
        return found
    cases = replaced(found, (r"\{", begin), ())
    if len(cases) < len(found):
        return replaced(cases, (end,), ())
    return replaced(replaced(found, (begin,), (r"\begin",)), (end,), (r"\end",))


def _subscripts_first(found: Sequence[str]) -> list[str]:
    """`v^2_0` as `v_0^2`."""
    result = list(found)
    for at, token in enumerate(result):
        middle = end_of_argument(result, at + 1) if token == "^" else 0
        if middle and result[middle : middle + 1] == ["_"]:
            end = end_of_argument(result, middle + 1)
            result[at:end] = result[middle:end] + result[at:middle]
    return result


def end_of_argument(found: Sequence[str], start: int) -> int:
    """Where the token or the group in braces ends that begins at `start`."""
    depth = 0
    for at in range(start, len(found)):
        depth += (found[at] == "{") - (found[at] == "}")
        if depth <= 0:
            return at + 1
    return len(found)


def replaced(found: Sequence[str], old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The tokens with one sequence of them in another's place."""
    result: list[str] = []
    for token in found:
        result.append(token)
        if tuple(result[-len(old) :]) == tuple(old):
            result[-len(old) :] = new
    return result


class _Tokeniser:
    """One text's lexemes, and what commands do to the lexemes that are their arguments."""

    def __init__(self, text: str, upright: bool = False, depth: int = 0) -> None:
        if depth > _MOST_NESTED:
            raise ValueError("too deeply nested to be an answer")
        self.lexemes = _LEXEME.findall(text)[::-1]
        self.upright, self.depth = upright, depth

    def all(self) -> Iterator[str]:
        while self.lexemes:
            lexeme = self.lexemes.pop()
            yield from self.command(lexeme) if lexeme[0] == "\\" else self.character(lexeme)

    def peek(self) -> str:
        return self.lexemes[-1] if self.lexemes else ""

    def command(self, name: str) -> Iterator[str]:
        if name[-1] == ".":
            return
        if name in _LAYOUT:
            self.argument()
        elif name in _UPRIGHT:
            yield from self.inner(upright=True)
        elif name in _STYLES:
            yield from self.inner(self.upright)
        elif name in _ACCENTS:
            yield f"{name} {''.join(self.inner(upright=False))}"
        elif len(name) > 2 and name[-1] == "}":
            kind = name.partition("{")[0].rstrip()
            if "matrix" in name or "{array}" in name:
                ends = ["|"] if "vmatrix" in name.lower() else []
                yield from ends if kind == r"\begin" else []
                yield kind if "matrix" in name else f"{kind} array"
                yield from ends if kind == r"\end" else []
        elif name not in _DROPPED:
            yield _SAME.get(name, name)

    def inner(self, upright: bool) -> Iterator[str]:
        """The tokens of a command's argument."""
        return _Tokeniser(self.argument(), upright, self.depth + 1).all()

    def argument(self) -> str:
        """What braces hold, or the next digit, letter or command."""
        taken = self.lexemes.pop() if self.lexemes else ""
        if taken != "{":
            if taken[1:] and taken[0] != "\\":
                self.lexemes.append(taken[1:])
                taken = taken[0]
            return taken
        parts: list[str] = []
        depth = 1
        while self.lexemes:
            lexeme = self.lexemes.pop()
            depth += (lexeme == "{") - (lexeme == "}")
            if depth == 0:
                return " ".join(parts)
            parts.append(lexeme)
        raise ValueError("a brace is not closed")

    def character(self, lexeme: str) -> Iterator[str]:
        if lexeme[0].isdigit() or (lexeme[0] == "." and lexeme[1:]):
            yield _GROUPING.sub("", lexeme)
            if not self.upright and self.peek() in _PLAIN_UNITS:
                yield WORD + self.lexemes.pop()
        elif lexeme.isalpha():
            yield from self.letters(lexeme)
        elif lexeme not in _DROPPED:
            yield r"\%" if lexeme == "%" else _SAME.get(lexeme, lexeme)

    def letters(self, run: str) -> Iterator[str]:
        """A function's name, a word, or one symbol for each letter."""
        upright = self.upright and run not in FUNCTIONS - {"min"}
        if upright or run in _WORDS or (len(run) > 3 and run not in FUNCTIONS | _SPELT_OUT.keys()):
            yield WORD + run
        elif run in FUNCTIONS:
            yield "\\" + run
        elif run in _SPELT_OUT:
            yield _SPELT_OUT[run]
        else:
            yield from run
