"""Ids to text, one id at a time, for byte-level vocabularies.

Not covered: vocabularies that are not byte-level BPE, which none of the supported families uses.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from tessy.errors import UserError

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


def token_bytes(tokenizer: Any) -> dict[int, bytes]:
    """The bytes of each id of a transformers `tokenizer`; raises `UserError` unless it is byte-level."""
    decoder = type(tokenizer.backend_tokenizer.decoder).__name__
    if decoder != "ByteLevel":
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: its decoder is {decoder}; "
            "only byte-level BPE is supported, which Qwen3, gpt-oss and DeepSeek-R1 use"
        )
    return {token_id: _bytes_of(token) for token, token_id in tokenizer.get_vocab().items()}


def _byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's table).

    Printable Latin-1 characters stand for themselves, the other bytes for U+0100 onwards, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTE_ALPHABET = _byte_alphabet()


def _bytes_of(token: str) -> bytes:
    """Added tokens are spelled as text: they are recognised by characters outside the byte alphabet."""
    try:
        return bytes([_BYTE_ALPHABET[character] for character in token])
    except KeyError:
        return token.encode("utf-8")
