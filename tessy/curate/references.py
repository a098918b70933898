"""Statements that OpenCodeReasoning leaves to the sets they come from, found there once and kept on disk.

Memory: what a row refers to is three short values; statements are in an SQLite file. A kill loses the set
that was being read, no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tessy.config.problems import PresetName, ProblemSource
from tessy.config.sources import Source
from tessy.curate.presets import PRESETS, Reference
from tessy.sources import LeftOut, Unfit, open_table


class Statements(Mapping[Reference, str]):
    """Statements of other sets, by reference; made in `folder` and continued there."""

    def __init__(self, folder: Path, source: ProblemSource, field: str) -> None:
        self._base = sqlite3.connect(folder / f"{source.title}.statements.sqlite")
        self._source, self._field = source, field
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS statements (preset, split, row INTEGER, text, "
            "PRIMARY KEY (preset, split, row))"
        )
        self._base.execute("CREATE TABLE IF NOT EXISTS done (preset, split, PRIMARY KEY (preset, split))")

    def find(self, wanted: Iterable[Reference]) -> None:
        """Read what `wanted` refers to; sets that were read before are not read again."""
        by_set: dict[tuple[PresetName, str], set[int]] = {}
        for one in wanted:
            by_set.setdefault((one.preset, one.split), set()).add(one.index)
        for (preset, split), rows in sorted(by_set.items()):
            done = self._base.execute("SELECT 1 FROM done WHERE preset=? AND split=?", (preset, split))
            if done.fetchone() is None:
                with self._base:
                    self._base.executemany(
                        "INSERT OR REPLACE INTO statements VALUES (?, ?, ?, ?)",
                        ((preset, split, row, text) for row, text in self._read(preset, split, rows)),
                    )
                    self._base.execute("INSERT INTO done VALUES (?, ?)", (preset, split))

    def _read(self, preset: PresetName, split: str, rows: set[int]) -> Iterator[tuple[int, str]]:
        known, left_out, last = PRESETS[preset], LeftOut(), max(rows)
        place = self._source.references.get(preset, known.hub)
        subset = known.parts[0][0]
        table = open_table(
            Source(source=place, subset=subset, split=split), f"{self._field}.references.{preset}"
        )
        for number, row in enumerate(table.rows(left_out, known.columns)):
            # Rows that cannot be read count, too: the reference is to a place in the whole.
            place_in_all = number + left_out.rows
            if place_in_all > last:
                return
            if place_in_all in rows:
                try:
                    yield place_in_all, known.read(row.values).prompt
                except Unfit:
                    continue

    def __getitem__(self, key: Reference) -> str:
        found = self._base.execute(
            "SELECT text FROM statements WHERE preset=? AND split=? AND row=?",
            (key.preset, key.split, key.index),
        ).fetchone()
        if found is None:
            raise KeyError(key)
        return str(found[0])

    def __iter__(self) -> Iterator[Reference]:
        for preset, split, row in self._base.execute("SELECT preset, split, row FROM statements"):
            yield Reference(preset, split, row)

    def __len__(self) -> int:
        return int(self._base.execute("SELECT COUNT(*) FROM statements").fetchone()[0])
