"""JSON Lines files that a kill may have truncated: a line counts once its line feed is written.

Not covered: several writers of one file (`tessy.synthesis.journal` gives each its own file).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A row, and the byte offsets at which its line begins and ends."""

    row: Any
    start: int
    end: int


def whole_lines(path: Path, start: int = 0, *, skip_damaged: bool = False) -> Iterator[Line]:
    """The complete lines from byte `start` on; none where there is no file. Raises `ValueError` with the byte
    offset for a line that is not JSON."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        stream.seek(start)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            end = start + len(line)
            try:
                yield Line(json.loads(line), start, end)
            except ValueError as error:
                if not skip_damaged:
                    raise ValueError(f"{path}, byte {start}: {error}") from None
            start = end


class AppendedLines:
    """A JSON Lines file to which one process appends. `rows` are those it had, without a truncated line."""

    def __init__(self, path: Path) -> None:
        found = list(whole_lines(path))
        self.rows: list[Any] = [line.row for line in found]
        self._stream = path.open("ab")
        self._stream.truncate(found[-1].end if found else 0)

    def append(self, row: Any) -> None:
        """Write a line; it survives the death of this process once this returns."""
        self._stream.write(json.dumps(row).encode() + b"\n")
        self._stream.flush()

    def __enter__(self) -> AppendedLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
