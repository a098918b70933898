"""The problems that are left, as rows that any trainer reads: id, prompt, licence, origin and what else is
known.

Not covered: the report (`tessy.curate.reporting`).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tessy.curate.deciding import Decided
from tessy.curate.selecting import blocks
from tessy.curate.shards import Shards, Stored

ROWS_AT_ONCE = 1024


class Ids:
    """Names of problems, each different: a source's own, behind the source's name where there are several."""

    def __init__(self, several: bool) -> None:
        self._several = several
        self._row_of: dict[str, int] = {}
        self._of_row: dict[int, str] = {}

    def of(self, row: Stored) -> str:
        """The id of a row. Another row of the same name gets its number in addition."""
        if row.number not in self._of_row:
            name = str(row.values["id"])
            name = f"{row.source}/{name}" if self._several else name
            if self._row_of.setdefault(name, row.number) != row.number:
                name = f"{name}~{row.number}"
                self._row_of[name] = row.number
            self._of_row[row.number] = name
        return self._of_row[row.number]


def rows(
    shards: Shards,
    order: Sequence[int],
    clusters: Mapping[int, int],
    told: Mapping[int, Mapping[str, float]],
    ids: Ids,
) -> Iterator[dict[str, Any]]:
    """The rows of these numbers in order, repeated ones with a `sample_id` of their own."""
    turns, names = Counter[int](), sorted({name for found in told.values() for name in found})
    columns = [
        "origin",
        "id",
        "prompt",
        "language",
        "license",
        "from",
        "topics",
        "difficulty",
        "date",
        "tags",
    ]
    for block in blocks(order, ROWS_AT_ONCE):
        found = shards.take(block.tolist(), columns)
        for number in block.tolist():
            row, name = found[number], ids.of(found[number])
            yield {
                "problem_id": name,
                "prompt": row.prompt,
                "language": row.values["language"],
                "tags": _tags(row),
                "sample_id": f"{name}#{turns[number]}",
                "source": row.source,
                "row": row.origin,
                "license": row.values["license"],
                "origin": row.values["from"],
                "topics": "; ".join(row.values["topics"]),
                "difficulty": row.values["difficulty"],
                "date": row.values["date"],
                "cluster": clusters[number],
                **{key: told.get(number, {}).get(key, math.nan) for key in names},
            }
            turns[number] += 1


def _tags(row: Stored) -> dict[str, str]:
    """What results can be broken down by: the row's own tags, or what is known of every problem."""
    own: dict[str, str] = json.loads(row.values["tags"])
    return own or {"source": row.source, "difficulty": row.values["difficulty"]}


def clusters_of(decided: Decided) -> dict[int, int]:
    """The cluster of each usable row, by its number."""
    return dict(zip(decided.rows.tolist(), decided.clusters.tolist(), strict=True))
