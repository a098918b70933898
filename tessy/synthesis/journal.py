"""The journal of a synthesis: every accepted turn, appended the moment it is accepted.

One JSON line per turn. A killed process leaves at most half a line at the end, which is cut off
when the journal is opened again, so a crash costs each trace in flight at most the chunk being written.

Not covered: several processes draining one journal.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from tessy.errors import UserError
from tessy.synthesis.cooperation import Turn


class Journal:
    """Append-only turns of many samples in one file."""

    def __init__(self, path: Path) -> None:
        self.turns: dict[str, list[Turn]] = defaultdict(list)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a+b")
        self._recover(path)

    def _recover(self, path: Path) -> None:
        self._stream.seek(0)
        whole = 0
        for number, line in enumerate(self._stream, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
                sample_id = row.pop("sample_id")
                row["ids"], row["held"] = tuple(row["ids"]), tuple(row["held"])
                self.turns[sample_id].append(Turn(**row))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}, line {number}: not a journal line ({error}); delete the file to start afresh"
                ) from None
            whole += len(line)
        self._stream.truncate(whole)
        self._stream.seek(0, os.SEEK_END)

    def append(self, sample_id: str, turn: Turn) -> None:
        """Record a turn; it survives the death of this process once this returns."""
        line = json.dumps({"sample_id": sample_id, **asdict(turn)}, separators=(",", ":"), ensure_ascii=False)
        self._stream.write(line.encode() + b"\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
