"""Test data that was unpacked, on disk and without a name: it is gone with its last user, also after a crash.

In `TMPDIR`, else /var/tmp, since /tmp is memory on many machines. Not covered: how much there is at a time
(`loaded`).
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from functools import partial
from typing import IO, cast

_ON_DISK = "/var/tmp"


class Spool:
    """A file that grows; each thing put into it can be opened again, by several readers at a time."""

    def __init__(self) -> None:
        given = os.environ.get("TMPDIR") or (_ON_DISK if os.access(_ON_DISK, os.W_OK) else None)
        self._file = tempfile.TemporaryFile(dir=given)  # noqa: SIM115 # open as long as anyone may read
        self._size = 0

    def put(self, data: bytes) -> Callable[[], IO[bytes]]:
        """Keep `data`; call the result to read it. Raises `OSError` where there is no room."""
        start, self._size = self._size, self._size + len(data)
        self._file.write(data)
        self._file.flush()
        return partial(self._open, start, len(data))

    def _open(self, start: int, size: int) -> IO[bytes]:
        return cast(IO[bytes], _Part(self._file, start, size))


class _Part(io.RawIOBase):
    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._next, self._end = file, start, start + size

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, which must be positive; none at the end."""
        part = os.pread(self._file.fileno(), min(size, self._end - self._next), self._next)
        self._next += len(part)
        return part
