"""Ids to text, one id at a time (`tessy.chat.vocabulary` knows the bytes of an id)."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

LONGEST_HELD = 64
"""Characters. Ids that end inside a character follow each other for a word at most, unless a model raves."""


class Decoder:
    """Incremental detokenizer: turns ids into text one by one, at whole UTF-8 characters.

    An id that ends inside a UTF-8 character adds no text until a later id ends at a character boundary: there
    the ids so far are exactly the text so far, so both can be cut. (Tokens that hold a whole character and
    the beginning of the next are common in scripts of three bytes a character.) Invalid bytes become U+FFFD.
    """

    def __init__(self, token_bytes: Mapping[int, bytes]) -> None:
        self._bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def step(self, token_id: int) -> str:
        """The text that `token_id` adds; "" for an id that the vocabulary does not use."""
        text = self._held + self._utf8.decode(self._bytes.get(token_id, b""))
        unfinished = self._utf8.getstate()[0] and len(text) < LONGEST_HELD
        self._held = text if unfinished else ""
        return "" if unfinished else text
