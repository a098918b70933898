"""Where text may be cut so that the ids of its pieces are the ids of the whole.

Qwen, o200k and DeepSeek split text into words before they merge bytes, and in all three no word goes on
across white space that follows something else, unless that white space is a line break: punctuation
takes the line breaks behind it along (".\\n" is one token).

Not covered: vocabularies that split otherwise; tests hold the rule against those three.
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
