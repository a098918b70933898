"""The language a prompt is written in, by `py3langid`; texts that are plainly English are told without it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_READ = 2000
"""Characters that decide."""
_LEAST_LETTERS = 24
"""In fewer letters any language can be seen."""
_WORDS = "the of and is are to in that for you be with find given if each such all from what which a an"
_ENGLISH = frozenset(_WORDS.split())
_ENGLISH_SHARE = 0.15
"""Of these among all words; other languages have some of them, but not so many."""
_LEAST_ENGLISH = 3
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|\$[^$\n]{0,500}\$|\\[A-Za-z]+|[\W\d_]+", re.DOTALL)


def language(prompt: str) -> tuple[str, float] | None:
    """The two-letter code of the prompt's language and its probability; None where there is too little
    text."""
    words = prompt[:_READ].lower().split()
    if sum(word in _ENGLISH for word in words) >= max(_LEAST_ENGLISH, _ENGLISH_SHARE * len(words)):
        return "en", 1.0
    prose = _NO_PROSE.sub(" ", prompt[:_READ]).strip()
    if sum(map(str.isalpha, prose)) < _LEAST_LETTERS:
        return None
    code, probability = _identifier().classify(prose)
    return str(code), float(probability)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
