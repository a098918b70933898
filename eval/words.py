"""What upright words in an expression may be: multiples, names that do not change a value, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from eval.latex import FUNCTIONS, WORD

MULTIPLES = {
    "dozen": Fraction(12),
    "hundred": Fraction(100),
    "thousand": Fraction(1000),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
}
_QUALIFIERS = frozenset(
    {"odd", "even", "prime", "primes", "composite", "not", "no", "never", "least", "most", "less",
     "more", "fewer", "greater", "smaller", "larger", "than", "irrational", "imaginary"}
)  # fmt: skip
"""Words that change what is said of the value before them."""
_BEFORE = frozenset(
    {"about", "approximately", "approx", "roughly", "around", "exactly", "is", "are", "the", "answer",
     "final", "total", "both", "either", "a", "of", "value", "usd", "eur", "rs"}
)  # fmt: skip
"""Words that may stand before a value and leave it as it is."""
_RAISED = frozenset({"th", "st", "nd", "rd", "o"})
"""Words that are written above the line behind a number."""
_NO_VALUES = frozenset({"\\frac", "\\sqrt", "\\binom", *("\\" + name for name in FUNCTIONS)})


def leaves_the_value(tokens: Sequence[str], at: int) -> bool:
    """Whether the word at a place only names the unit, or the kind of thing, of the value behind which it
    stands. Words alone, before a value or in an exponent, operators' names and qualifiers do not."""
    word = tokens[at][len(WORD) :].casefold()
    if word in _QUALIFIERS:
        return False
    if word in _BEFORE:
        return any(map(_is_value, tokens))
    following = [*tokens[at + 1 : at + 3], "", ""]
    if following[0] == "(" and not following[1].startswith(WORD):
        return False
    before = next((token for token in reversed(tokens[:at]) if token not in ("{", "(")), "+")
    if before == "^":
        return word in _RAISED
    return before not in ("+", "-") and any(map(_is_value, tokens[:at]))


def _is_value(token: str) -> bool:
    return token[:1].isdigit() or (
        token[-1:].isalpha() and not token.startswith(WORD) and token not in _NO_VALUES
    )
