"""The examined rows on disk: shards of Parquet, each complete or not there.

A shard holds a fixed number of a source's rows, with what was found; its name says source and number. So a
stage that was killed continues after its last shard. Texts are read back a shard at a time, arrays as memory
maps.

Not covered: what is decided from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tessy.artifacts import replacing
from tessy.curate.examining import Chunk, Examined
from tessy.curate.reading import Draft
from tessy.curation_rules.chunks import Sketches
from tessy.curation_rules.decontamination import Statement

ROWS, CHARACTERS = 4096, 32 << 20
"""Most rows of a source in a shard, and how many characters end one early: tests can be large."""
_MATCH = pa.struct([("rule", pa.string()), ("score", pa.float64()), ("test", pa.int32())])
_SCHEMA = pa.schema(
    [
        ("origin", pa.string()),
        ("id", pa.string()),
        ("prompt", pa.string()),
        ("language", pa.string()),
        ("license", pa.string()),
        ("from", pa.string()),
        ("topics", pa.list_(pa.string())),
        ("difficulty", pa.string()),
        ("date", pa.string()),
        ("tags", pa.string()),
        ("tests", pa.string()),
        ("removed", pa.string()),
        ("evidence", pa.string()),
        ("repairs", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),
        ("matches", pa.list_(_MATCH)),
        ("digest", pa.binary()),
        ("signature", pa.binary()),
        ("words", pa.int64()),
    ]
)


def in_chunks(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    """Drafts in the pieces that become shards."""
    chunk: list[Draft] = []
    size = 0
    for draft in drafts:
        said = draft.statement
        chunk.append(draft)
        size += len(said.prompt) + sum(len(given) + len(expected) for given, expected in said.tests)
        if len(chunk) == ROWS or size > CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as a shard has it; `number` counts all rows of all sources."""

    number: int
    source: str
    values: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        return str(self.values["prompt"])

    @property
    def origin(self) -> str:
        return str(self.values["origin"])


class Shards:
    """The shards below `folder`, of sources in the order of `titles`."""

    def __init__(self, folder: Path, titles: Sequence[str]) -> None:
        self.folder, self.titles = folder, titles
        self._rows_of: dict[Path, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def rows_of(self, path: Path) -> int:
        """The number of rows in a shard."""
        if path not in self._rows_of:
            self._rows_of[path] = int(pq.read_metadata(path).num_rows)
        return self._rows_of[path]

    def path(self, source: int, number: int) -> Path:
        return self.folder / f"{source:03d}-{number:06d}.parquet"

    def finished(self, source: int) -> Path:
        """The file that says that all shards of a source are there."""
        return self.folder / f"{source:03d}.done"

    def of(self, source: int) -> list[Path]:
        """The shards of a source without a gap, in order."""
        found: list[Path] = []
        while (path := self.path(source, len(found))).exists():
            found.append(path)
        return found

    def write(self, source: int, number: int, chunk: Chunk, numbers: Mapping[Statement, int]) -> None:
        """Write a shard; `numbers` has the places of the tests."""
        with replacing(self.path(source, number)) as path:
            pq.write_table(pa.Table.from_pylist(list(_rows(chunk, numbers)), _SCHEMA), path)

    def __iter__(self) -> Iterator[tuple[int, Path]]:
        """(position of the source, shard) of every shard, in order."""
        for source in range(len(self.titles)):
            yield from ((source, path) for path in self.of(source))

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Stored]:
        """All rows in order; with `columns` only these."""
        number = 0
        for source, path in self:
            for values in pq.read_table(path, columns=columns).to_pylist():
                yield Stored(number, self.titles[source], values)
                number += 1

    def column(self, name: str) -> Iterator[Any]:
        """One column of all rows, in order."""
        for _, path in self:
            yield from pq.read_table(path, columns=[name])[name].to_pylist()

    def take(self, numbers: Iterable[int], columns: Sequence[str] | None = None) -> dict[int, Stored]:
        """The rows of these numbers."""
        wanted, found, start = np.sort(np.fromiter(set(numbers), np.int64)), dict[int, Stored](), 0
        for source, path in self:
            end = start + self.rows_of(path)
            inside = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, end)]
            if len(inside):
                table = pq.read_table(path, columns=columns).take(pa.array(inside - start))
                for number, values in zip(inside.tolist(), table.to_pylist(), strict=True):
                    found[number] = Stored(number, self.titles[source], values)
            start = end
        return found

    def sketches(self, permutations: int) -> tuple[Sketches, NDArray[np.int64], NDArray[np.int64]]:
        """The sketches of all rows that are not removed, their numbers, and their sources' positions.

        Signatures are put into one file, and mapped from there.
        """
        rows, sources = [], []
        digests, words = [], []
        file, start = self.folder / "signatures.tmp", 0
        with file.open("wb") as stream:
            for source, path in self:
                table = pq.read_table(path, columns=["digest", "signature", "words"])
                there = np.flatnonzero(table["digest"].is_valid().to_numpy(zero_copy_only=False))
                kept = table.take(pa.array(there))
                rows.append(there + start)
                sources.append(np.full(len(there), source, np.int64))
                digests.append(np.frombuffer(b"".join(kept["digest"].to_pylist()), np.uint64).reshape(-1, 2))
                words.append(kept["words"].to_numpy())
                stream.write(b"".join(kept["signature"].to_pylist()))
                start += table.num_rows
        numbers = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        shape = (len(numbers), permutations)
        empty = not shape[0] or not shape[1]
        signatures = np.zeros(shape, np.uint32) if empty else np.memmap(file, np.uint32, "r", shape=shape)
        every = Sketches(
            np.concatenate(digests) if digests else np.zeros((0, 2), np.uint64),
            signatures,
            np.concatenate(words) if words else np.zeros(0, np.int64),
        )
        return every, numbers, np.concatenate(sources) if sources else np.zeros(0, np.int64)


def _rows(chunk: Chunk, numbers: Mapping[Statement, int]) -> Iterator[dict[str, Any]]:
    place, sketches = 0, chunk.sketches
    for row in chunk.rows:
        values = _row(row, numbers)
        if not row.removed and sketches is not None:
            values["digest"] = np.ascontiguousarray(sketches.digests[place]).tobytes()
            values["signature"] = np.ascontiguousarray(sketches.signatures[place]).tobytes()
            values["words"] = int(sketches.words[place])
            place += 1
        yield values


def _row(row: Examined, numbers: Mapping[Statement, int]) -> dict[str, Any]:
    said = row.draft.statement
    return {
        "origin": row.draft.origin,
        "id": row.draft.id if not row.draft.unread else "",
        "prompt": row.prompt,
        "language": said.language,
        "license": said.license,
        "from": said.origin,
        "topics": list(said.topics),
        "difficulty": said.difficulty,
        "date": said.date,
        "tags": json.dumps(dict(row.draft.tags), sort_keys=True),
        "tests": json.dumps(said.tests) if said.tests else "",
        "removed": row.removed,
        "evidence": row.evidence,
        "repairs": list(row.repairs),
        "notes": list(row.notes),
        "matches": [
            {
                "rule": match.rule,
                "score": match.score,
                "test": numbers[match.statement],
            }
            for match in row.matches
        ],
    }
