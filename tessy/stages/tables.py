"""Tables that a stage reads: opened at one commit, with what was guessed and left out said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tessy.config.sources import Source
from tessy.hub import recorded_as
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.sources import Layout, LeftOut, Row, Table, layout_of, open_table


@dataclass(frozen=True, slots=True)
class Reading:
    """An open table and its columns; `left_out` counts what cannot be used."""

    table: Table
    layout: Layout
    left_out: LeftOut = field(default_factory=LeftOut)

    def rows(self) -> Iterator[Row]:
        """The rows that can be read."""
        return self.table.rows(self.left_out)

    def say(self, job: Job[StageConfig]) -> None:
        """Report what was left out, by rule."""
        for line in self.left_out.lines():
            job.say(f"{self.table.source.source}: {line}")


def table_of(job: Job[StageConfig], source: Source, name: str) -> Table:
    """The table that the recipe's field `name` gives. A data set on the hub stays at one commit until the
    stage is finished, even if a newer one is published."""
    known = job.commits.get(recorded_as(source.source, source.revision))
    table = open_table(source.model_copy(update={"revision": known}) if known else source, name)
    job.record_commit(source.source, source.revision, table.commit)
    return table


def opened(job: Job[StageConfig], source: Source, name: str) -> Reading:
    """`table_of` with its columns."""
    table = table_of(job, source, name)
    layout = layout_of(source.columns, (row.values for row in table.first_rows()), name)
    for said in (*table.said, *layout.guessed):
        job.say(f"{source.source}: {said}")
    return Reading(table, layout)
