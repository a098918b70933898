"""The journal of a synthesis: every accepted turn, appended the moment it is accepted.

A folder on which several processes, on one machine or on several that share it, can work together. Each
process (an owner) appends to its own files: `turns-OWNER.jsonl` has every accepted turn,
`done-OWNER.jsonl` every finished response. Claims (`tessy.claims`) say which owner works on which sample. A
sample whose owner has died is claimed again and resumes from its last accepted turn; what a slow owner writes
after it was taken for dead is void.

A killed process leaves at most an incomplete line at the end of its files, which readers skip, so a crash
costs each active trace at most the chunk being written. Memory holds the turns of unfinished samples, and the
file positions of finished ones.

The same serves work that has no turns: submissions that are judged.

Not covered: power failures (lines are written without fsync).
"""

from __future__ import annotations

import json
import os
import zlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from tessy.claims import Claims
from tessy.claims.files import FileClaims
from tessy.claims.life import states
from tessy.errors import UserError
from tessy.jsonl import Line, whole_lines
from tessy.synthesis.cooperation import Turn


class Journal:
    """The journal in `folder`, opened by the owner of `claims`; by a new one with files of claims beside it,
    where none are given."""

    def __init__(self, folder: Path, claims: Claims | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._claims = claims or FileClaims(folder)
        self._owner = self._claims.owner
        self._numbers: dict[str, int] = {}
        self._done: dict[str, tuple[Path, int]] = {}
        self._read: dict[Path, int] = {}
        self._recovered: dict[str, list[Turn]] = {}
        self._scanned: set[str] = set()
        self._count: dict[str, int] = {}
        self._left: deque[str] | None = None
        self._first = not any(folder.glob("turns-*.jsonl"))
        self._turns_file = self._open(f"turns-{self._owner}.jsonl")
        self._done_file = self._open(f"done-{self._owner}.jsonl")
        self._done_size = 0
        self._refresh_done()

    def _open(self, name: str) -> int:
        return os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def claim(self, sample_ids: Sequence[str]) -> str | None:
        """Claim the next sample that is neither done nor claimed by a live owner; None if there is none.

        `sample_ids` are those of the whole run, the same in every call.
        """
        if self._left is None:
            self._left = self._from_own_start(sample_ids)
        # A process that has finished the stage removes the journal.
        with suppress(FileNotFoundError):
            for _ in range(len(self._left)):
                sample_id = self._left.popleft()
                if sample_id in self._done:
                    continue
                number = self._take(sample_id)
                if number is None:
                    self._left.append(sample_id)
                    continue
                if number > 1:
                    # The dead owner may have finished the sample just before it died.
                    self._refresh_done()
                    if sample_id in self._done:
                        continue
                self._numbers[sample_id] = number
                return sample_id
        return None

    def _take(self, sample_id: str) -> int | None:
        try:
            return self._claims.take(sample_id)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unwritable(str(error)) from None

    def _from_own_start(self, sample_ids: Sequence[str]) -> deque[str]:
        """Those who come later begin elsewhere, so that they do not ask for what others have."""
        left = deque(sample_ids)
        if not self._first:
            left.rotate(-(zlib.crc32(self._owner.encode()) % max(1, len(left))))
        return left

    def is_complete(self, sample_ids: Iterable[str]) -> bool:
        """Whether every sample is done, by any process."""
        if not self._folder.exists():
            return True
        self._refresh_done()
        return all(sample_id in self._done for sample_id in sample_ids)

    def turns(self, sample_id: str) -> list[Turn]:
        """The accepted turns of a sample this process has claimed."""
        self._refresh_done()
        for path in sorted(self._folder.glob("turns-*.jsonl")):
            owner = path.stem.removeprefix("turns-")
            if owner != self._owner and owner not in self._scanned and not self._claims.alive(owner):
                self._recover()
        found = self._recovered.pop(sample_id, [])
        self._count[sample_id] = len(found)
        return found

    def append(self, sample_id: str, turn: Turn) -> None:
        """Record a turn; it survives the death of this process once this returns."""
        number = self._count.get(sample_id, 0)
        self._count[sample_id] = number + 1
        row = {"sample_id": sample_id, "claim": self._numbers.get(sample_id, 1), "number": number}
        self._write(self._turns_file, row | {name: getattr(turn, name) for name in Turn.__slots__})

    def finish(self, sample_id: str, row: dict[str, Any]) -> None:
        """Record the finished response of a sample, as plain values; nothing where another owner has taken it
        in the meantime."""
        self._count.pop(sample_id, None)
        if sample_id in self._numbers and not self._claims.holds(sample_id):
            return
        self._done[sample_id] = (self._folder / f"done-{self._owner}.jsonl", self._done_size)
        self._done_size += self._write(self._done_file, {"sample_id": sample_id, "row": row})

    def finished(self) -> int:
        """How many samples are done so far, by any process."""
        self._refresh_done()
        return len(self._done)

    def queue(self) -> tuple[int, int]:
        """How many samples this process may still claim, and how many it works on."""
        return len(self._left or ()), len(self._count)

    def rows(self, sample_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The finished responses, in the order of `sample_ids`; raises `KeyError` for one that is missing."""
        self._refresh_done()
        streams: dict[Path, BinaryIO] = {}
        with ExitStack() as stack:
            for sample_id in sample_ids:
                path, offset = self._done[sample_id]
                if path not in streams:
                    streams[path] = stack.enter_context(path.open("rb"))
                streams[path].seek(offset)
                row: dict[str, Any] = json.loads(streams[path].readline())["row"]
                yield row

    def show(self, state: Mapping[str, float | int | str]) -> None:
        """What this process's signs of life say about its progress, for whoever watches from elsewhere."""
        self._claims.show(state)

    def states(self) -> list[dict[str, Any]]:
        """What the signs of life of all living processes say; `worker` is their machine and process."""
        return [
            {"worker": f"{said['host']}-{said['pid']}", **said["state"]}
            for owner, said in states(self._folder).items()
            if self._claims.alive(owner)
        ]

    def _write(self, file: int, row: dict[str, Any]) -> int:
        """Append a whole line or nothing; returns its length, raises `UserError`."""
        # Half a character, as in a program's own message, is read again as it is written.
        line = (
            json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass") + b"\n"
        )
        try:
            written = os.write(file, line)
            if written == len(line):
                return written
            # An incomplete line would corrupt the next one.
            os.ftruncate(file, os.fstat(file).st_size - written)
            reason = f"{written} of {len(line)} bytes written"
        except OSError as error:
            reason = str(error)
        raise self._unwritable(reason)

    def _unwritable(self, reason: str) -> UserError:
        return UserError(
            f"{self._folder}: cannot be written ({reason}); make room on its disk and run the same command "
            "again: what was accepted so far is kept"
        )

    def _refresh_done(self) -> None:
        for path in self._folder.glob("done-*.jsonl"):
            if path.name != f"done-{self._owner}.jsonl":
                for row, offset, _ in self._new_lines(path):
                    self._done.setdefault(row["sample_id"], (path, offset))

    def _recover(self) -> None:
        """Read the turns of unfinished samples from dead owners' files."""
        found: dict[str, list[tuple[int, int, Turn]]] = defaultdict(list)
        for path in sorted(self._folder.glob("turns-*.jsonl")):
            owner = path.stem.removeprefix("turns-")
            # Live owners are still writing: their files are read once they are dead.
            if owner == self._owner or self._claims.alive(owner):
                continue
            self._scanned.add(owner)
            for row, _, _ in _lines(path, 0):
                if row["sample_id"] not in self._done:
                    sample_id, claim, number = row.pop("sample_id"), row.pop("claim"), row.pop("number")
                    found[sample_id].append((claim, number, _turn(row, path)))
        for sample_id, turns in found.items():
            kept: list[Turn] = []
            # A later owner resumed from the turns it found; any further turns of an earlier owner are void.
            for _, number, turn in sorted(turns, key=lambda entry: entry[:2]):
                kept[number:] = [turn]
            self._recovered[sample_id] = kept

    def _new_lines(self, path: Path) -> Iterator[Line]:
        """The lines appended since the last call."""
        for line in _lines(path, self._read.get(path, 0)):
            self._read[path] = line.end
            yield line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._turns_file)
        os.close(self._done_file)
        self._claims.close()


def _lines(path: Path, start: int) -> Iterator[Line]:
    """The whole lines from `start` on, each about a sample."""
    place = start
    try:
        for line in whole_lines(path, start):
            place = line.start
            line.row["sample_id"]
            yield line
            place = line.end
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}, byte {place}: not a journal line ({error}); delete {path.parent} to start this stage "
            "afresh"
        ) from None


def _turn(row: dict[str, Any], path: Path) -> Turn:
    try:
        return Turn(**{**row, "ids": tuple(row["ids"]), "held": tuple(row["held"])})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a journal of this version ({error}); delete {path.parent} to start afresh"
        ) from None
