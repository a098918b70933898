"""Where text may be cut so that the ids of its pieces, joined, are the ids of the whole.

Qwen, o200k and DeepSeek split text into words before they merge bytes, and in all three no word continues
across white space that follows another character, unless that white space is a line break: punctuation
includes the line breaks after it (".\\n" is one token).

Not covered: vocabularies that split in other ways; tests check the rule with those three.
"""

from __future__ import annotations

import re

# U+001C to U+001F are white space to Python, but not to the tokenizers.
_CUT = re.compile(r"(?<=\S)(?=[^\S\r\n\x1c-\x1f])")


def stable_words(text: str) -> list[str]:
    """`text` in pieces whose encodings, joined, are the encoding of `text`.

    A piece begins with the white space before its word. Pieces are short where text has spaces, and
    may be long elsewhere (CJK, code written without any).
    """
    return _CUT.split(text)
