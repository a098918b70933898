"""Parts of a JSON line that is too long to hold, found by offset in its file.

A key is looked for as text: in valid JSON a quoted name without a backslash before it is not inside a string.
Not covered: whether it is a key of the outermost object.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator
from typing import IO

_PIECE = 1 << 18
_COLON = re.compile(rb"\s*:\s*")
_MOST_SPACE = 100
"""Bytes around a key's colon."""
_WHOLE = re.compile(
    r'(?:[^"\\]++|\\[^u]|\\u(?:(?![dD][89abAB]).{4}|.{4}(?=[^\\]|\\[^u]|\\u.{4})))*+', re.DOTALL
)
"""What is sure to be whole of a JSON string: the first half of a pair (D800 to DBFF) only if more follows."""


def spans(stream: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Where each line begins, and where the next one does."""
    start, size = 0, os.fstat(stream.fileno()).st_size
    while start < size:
        end = min(seek(stream, b"\n", start, size) + 1, size)
        yield start, end
        start = end


def value(stream: IO[bytes], key: str, start: int, end: int) -> int:
    """Where between two offsets the value of a key begins; `end` if it is not there."""
    quoted = b'"%s"' % key.encode()
    while (at := seek(stream, quoted, start, end)) < end:
        start = at + len(quoted)
        if (colon := _COLON.match(read(stream, start, min(start + _MOST_SPACE, end)))) and (
            read(stream, max(at - 1, 0), at) != b"\\"
        ):
            return start + colon.end()
    return end


def text(stream: IO[bytes], key: str, start: int, end: int) -> Iterator[bytes]:
    """The string that a key has as its value, in UTF-8; nothing if null or not there. Raises `ValueError`."""
    at = value(stream, key, start, end)
    first = read(stream, at, min(at + 1, end))
    if first == b'"':
        yield from unescaped(pieces(stream, at + 1, end))
    elif first not in (b"n", b""):
        raise ValueError(f"{key} is not a text")


def unescaped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A JSON string from behind its first quote to its last, in UTF-8. Raises `ValueError`."""
    decoder, held = codecs.getincrementaldecoder("utf-8")("surrogatepass"), ""
    for piece in pieces:
        held += decoder.decode(piece)
        whole = _WHOLE.match(held).end()  # type: ignore[union-attr] # it matches nothing, too
        if whole:
            yield json.loads(f'"{held[:whole]}"').encode("utf-8", "surrogatepass")
        held = held[whole:]
        if held.startswith('"'):
            return
    raise ValueError("a text ends too early")


def seek(stream: IO[bytes], wanted: bytes, start: int, end: int) -> int:
    """Where between two offsets `wanted` first stands; `end` if it does not."""
    held = b""
    for piece in pieces(stream, start, end):
        held += piece
        start += len(piece)
        if (at := held.find(wanted)) >= 0:
            return start - len(held) + at
        held = held[max(len(held) - len(wanted) + 1, 0) :]
    return end


def pieces(stream: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    """What stands between two offsets."""
    while piece := os.pread(stream.fileno(), min(_PIECE, end - start), start):
        yield piece
        start += len(piece)


def read(stream: IO[bytes], start: int, end: int) -> bytes:
    """What stands between two offsets, at once."""
    return b"".join(pieces(stream, start, end))
