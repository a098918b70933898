"""LiveCodeBench's private tests, unpacked a piece at a time: base64 of zlib of a pickled JSON list.

Real ones reach hundreds of megabytes; held are a piece of each layer and one element of the list. They come
from strangers: the pickle's instructions are read and never obeyed, and it holds one text or nothing.

All functions take and give iterators of bytes and raise `ValueError` naming what is wrong.
Not covered: what an element means (`lcb`).
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator

MAX_TEXT = 1 << 30
"""Longest text accepted, in bytes."""
_PIECE = 1 << 18
_TEXTS = {b"\x8c": 1, b"X": 4, b"\x8d": 8, b"U": 1, b"T": 4, b"C": 1, b"B": 4, b"\x8e": 8}
"""Opcodes of a text or bytes, with the width of the length before it."""
_BESIDE = {b"\x80": 1, b"\x95": 8, b"\x94": 0, b"q": 1, b"r": 4}
"""Opcodes of protocol, frames and memory, with the width of their argument: they may stand around a text."""
_STOP = b"."
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_MARK = re.compile(rb'["{}\[\]]')
_MOST_MARKS = 1000
"""Brackets and quotes in one element, which holds a few texts."""


def unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The elements of the list, each as JSON."""
    return elements(text_of_pickle(inflated(decoded(pieces))))


def decoded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """From base64."""
    held = b""
    for piece in pieces:
        held += piece
        # The last four are held back: padding may be among them, and nowhere else.
        whole = max(len(held) - 4, 0) // 4 * 4
        part, held = held[:whole], held[whole:]
        if b"=" in part:
            raise ValueError("base64 goes on after its end")
        yield base64.b64decode(part, validate=True)
    yield base64.b64decode(held, validate=True)


def inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """From zlib. What follows its end is ignored; that it ends too early shows in what it holds."""
    inflate, size = zlib.decompressobj(), 0
    for piece in pieces:
        while piece and not inflate.eof:
            try:
                part = inflate.decompress(piece, _PIECE)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            size, piece = size + len(part), inflate.unconsumed_tail
            if size > MAX_TEXT:
                raise ValueError(f"they unpack to more than {MAX_TEXT} bytes")
            yield part


def text_of_pickle(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The one text or bytes that a pickle holds, in UTF-8; its last piece only if the pickle ends well."""
    pickle = _Reader(pieces)
    found, held = False, b""
    while (opcode := pickle.exactly(1)) != _STOP:
        if opcode in _BESIDE:
            pickle.exactly(_BESIDE[opcode])
        elif opcode in _TEXTS and not found:
            found = True
            for piece in pickle.pieces(int.from_bytes(pickle.exactly(_TEXTS[opcode]), "little")):
                yield held
                held = piece
        else:
            raise ValueError(f"the pickle holds more than a text (opcode {opcode!r}); only text is accepted")
    if not found:
        raise ValueError("not a pickled text: it is empty")
    yield held


class _Reader:
    """Bytes by number from pieces of any length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""

    def pieces(self, size: int) -> Iterator[bytes]:
        while size:
            if not (held := self._held or next(self._pieces, None)):
                if held is None:
                    raise ValueError("not a pickled text: it ends too early")
                continue
            self._held = held[size:]
            size -= len(held) - len(self._held)
            yield held[: len(held) - len(self._held)]

    def exactly(self, size: int) -> bytes:
        return b"".join(self.pieces(size))


def elements(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The objects of a JSON list, each as it is written there. What is inside them is not checked."""
    text = _Text(pieces)
    before, symbol = text.symbol(), text.symbol()
    if before != b"[":
        raise ValueError("they are not a list")
    if symbol == b"]":
        before, symbol = symbol, text.symbol()
    while before != b"]":
        if before not in (b"[", b",") or symbol != b"{":
            raise ValueError("they are not a list of objects")
        yield text.object()
        before, symbol = text.symbol(), text.symbol()
    if symbol:
        raise ValueError("they go on after their end")


class _Text:
    """A JSON text, read forward; what was read is forgotten."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held, self._at = pieces, bytearray(), 0

    def symbol(self) -> bytes:
        """The next byte that is no space; none at the end."""
        while True:
            del self._held[: self._at]
            self._at = _SPACE.match(self._held).end()  # type: ignore[union-attr] # it matches nothing, too
            if self._at < len(self._held):
                self._at += 1
                return bytes(self._held[self._at - 1 : self._at])
            if not self._more():
                return b""

    def object(self) -> bytes:
        """From the bracket that was the last symbol to the one that closes it."""
        start, depth, marks = self._at - 1, 1, 0
        while depth:
            if (mark := self._mark()) == b'"':
                self._skip_string()
            else:
                depth += 1 if mark in b"{[" else -1
            if (marks := marks + 1) > _MOST_MARKS:
                raise ValueError("one of them holds too many values")
        return bytes(self._held[start : self._at])

    def _mark(self) -> bytes:
        while not (found := _MARK.search(self._held, self._at)):
            self._at = len(self._held)
            self._need_more()
        self._at = found.end()
        return bytes(found[0])

    def _skip_string(self) -> None:
        """To behind the quote that closes it."""
        while True:
            self._at = _IN_STRING.match(self._held, self._at).end()  # type: ignore[union-attr]
            if self._held[self._at : self._at + 1] == b'"':
                self._at += 1
                return
            self._need_more()

    def _need_more(self) -> None:
        if not self._more():
            raise ValueError("they end too early")

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        self._held += piece or b""
        return piece is not None
