"""Files that exist only in memory: what a program reads, runs and writes.

A `Sealed` file cannot be changed by anyone, whoever holds a descriptor; a scratch file is a program's output.
Both vanish with their last descriptor, so a killed judge leaves nothing on disk.

Not covered: limits on their size; the program's file-size limit is what caps its output.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from types import TracebackType
from typing import Self

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_CHUNK = 1 << 20


class Sealed:
    """Immutable bytes behind a descriptor. Close it, or use it as a context manager."""

    def __init__(self, data: bytes | Iterable[bytes | memoryview]) -> None:
        self.fd = os.memfd_create("sealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            self.size = sum(_write(self.fd, part) for part in ([data] if isinstance(data, bytes) else data))
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(self.fd)
            raise

    def reader(self) -> int:
        """A new read-only descriptor at offset 0; the caller closes it."""
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """All of it."""
        return read_all(self.fd)

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scratch() -> int:
    """A descriptor of an empty writable file in memory; the caller closes it."""
    return os.memfd_create("scratch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def read_all(fd: int, limit: int | None = None) -> bytes:
    """The file behind `fd` from its start, whatever its offset; at most `limit` bytes."""
    size = os.fstat(fd).st_size
    size = size if limit is None else min(limit, size)
    parts, offset = [], 0
    while offset < size and (part := os.pread(fd, min(_CHUNK, size - offset), offset)):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _write(fd: int, part: bytes | memoryview) -> int:
    view = memoryview(part)
    while view:
        view = view[os.write(fd, view) :]
    return len(part)
