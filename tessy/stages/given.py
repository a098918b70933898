"""The stage `given`: traces that somebody else wrote, as a training set in the student's format.

Rows become trajectories in blocks, each a file in the work folder, so a killed import goes on behind the last
whole block. What cannot be used is left out and counted by rule. What is too long stays as a trace that the
length cap cut off, and is not trained on.

Not covered: conversations of several exchanges and traces without thinking, which are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.artifacts import join_parquet, write_json, write_parquet
from tessy.config.base import Positive
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.given import GivenTraces
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.config.switches import Switch
from tessy.errors import UserError
from tessy.jsonl import AppendedLines
from tessy.layout import LEFT_OUT, SYNTHESIS, TRAJECTORIES
from tessy.records import Role
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.sources import LeftOut
from tessy.stages.checks import local, models_faults, predictor_engine_faults, switch_faults, table_faults
from tessy.stages.serving import of_predictors
from tessy.stages.synthesize import Summary
from tessy.stages.tables import Reading, opened

if TYPE_CHECKING:
    from tessy.generation.importing import Begun, Importer, Names
    from tessy.sources import Row

BLOCK = 64
"""Rows in a file of the work folder; two blocks are in memory."""


class GivenStage(StageConfig):
    """Which set, for which student. `switch`, `window_tokens` and `watching` are those of the predictor that
    marks its spans, if one does."""

    given: GivenTraces
    student: ModelReference
    max_length: Positive
    switch: Switch | None = None
    window_tokens: int | None = None
    watching: Numerics | None = None

    @property
    def files(self) -> list[str]:
        return [*local([self.given.source, *self.student.files]), *(self.switch.files if self.switch else [])]

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from models_faults({"student": self.student})
        yield from table_faults(self.given, _field(self.given))
        if self.switch:
            yield from switch_faults(self.switch)
            yield from predictor_engine_faults(execution, [self.given.marked_by])

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterator[str]:
        if self.switch and self.given.marked_by:
            yield from of_predictors(execution, inputs, [self.switch], [self.given.marked_by])


KIND = Kind(
    "given",
    GivenStage,
    revision=1,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    on_device=True,
    needs=("models",),
)


def plan(recipe: Recipe, graph: Graph, name: str, student: str | None, predictors: Mapping[Role, str]) -> str:
    """The stage of the given set called `name`."""
    given = recipe.synthesis.given[name]
    switch = recipe.synthesis.switch if given.spans else None
    trained = switch is not None and switch.kind == "trained"
    config = GivenStage(
        given=given,
        student=reference(recipe.models.student),
        max_length=recipe.train.max_length,
        switch=switch,
        window_tokens=recipe.predictors.window_tokens if trained and recipe.predictors else None,
        watching=recipe.execution.watching(given.marked_by) if switch else None,
    )
    marking = {f"predictor-{given.marked_by}": predictors[given.marked_by]} if trained else {}
    return graph.add(KIND, f"synthesize-{name}", config, {"student": student, **marking})


@dataclass(slots=True)
class _Seen:
    """What has been read: rows that became a trace or were left out, and what the traces hold."""

    rows: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    summary: Summary = field(default_factory=Summary)

    def add(self, block: Mapping[str, Any]) -> None:
        """Add a block of the journal."""
        self.rows += block["rows"]
        self.left_out.add_all(block["left_out"])
        self.summary.add_all(block["summary"])


def run(job: Job[GivenStage]) -> None:
    given = job.config.given
    reading = opened(job, given, _field(given))
    seen = _imported(job, reading)
    reading.left_out.add_all(seen.left_out.values())
    reading.say(job)
    parts = sorted((job.work / "parts").glob(f"*/{TRAJECTORIES}"))
    if not parts:
        raise UserError(f"{given.source}: no row can be used; " + "; ".join(reading.left_out.lines()))
    about = f"Traces given by {given.source}, in the student's format."
    join_parquet(job.out / TRAJECTORIES, parts, job.name, about)
    values = _values(given, seen, reading.left_out)
    write_json(job.out / SYNTHESIS, values)
    write_json(job.out / LEFT_OUT, reading.left_out.values())
    job.tracker.log({key: value for key, value in values.items() if isinstance(value, int | float)})
    job.say(
        f"{given.source}: {values['rows']:,} rows, {values['trajectories']:,} of them traces, "
        f"{values['failed']:,} of these too long"
    )


def _imported(job: Job[GivenStage], reading: Reading) -> _Seen:
    """Write every block that is not there yet."""
    from tessy.generation.importing import Names

    seen, names, rows = _Seen(), Names(reading.layout), reading.rows()
    about_all = reading.table.count() or 0
    with ExitStack() as stack:
        journal = stack.enter_context(AppendedLines(job.work / "parts.jsonl"))
        for block in journal.rows:
            seen.add(block)
            for row in islice(rows, block["rows"]):
                names.of(row)
        importer = _importer(job, reading, stack)
        pool = stack.enter_context(ThreadPoolExecutor(_threads(job)))
        number, begun = len(journal.rows), _next(importer, pool, rows, names)
        while begun:
            # One block ahead, so that the pool works while rows are read and written.
            following = _next(importer, pool, rows, names)
            made, left_out = importer.made(begun)
            summary = Summary()
            if kept := list(summary.watch(made)):
                folder = job.work / "parts" / f"{number:06}"
                write_parquet(folder / TRAJECTORIES, kept, job.name, "A block of rows.")
            entry = {"rows": len(begun.rows), "left_out": left_out.values(), "summary": summary.plain()}
            journal.append(entry)
            seen.add(entry)
            number, begun = number + 1, following
            job.progress(seen.rows, max(about_all, seen.rows + 1), "rows")
    return seen


def _next(importer: Importer, pool: Executor, rows: Iterator[Row], names: Names) -> Begun | None:
    """The next block, begun; None after the last."""
    block = list(islice(rows, BLOCK))
    return importer.begun(pool, block, [names.of(row) for row in block]) if block else None


def _importer(job: Job[GivenStage], reading: Reading, stack: ExitStack) -> Importer:
    """What makes trajectories; a predictor that it needs stays open until `stack` is closed."""
    from tessy.generation.importing import Importer, marker
    from tessy.generation.models import NamedModel, renderer_of
    from tessy.generation.switching import Switching
    from tessy.synthesis.given import Facts

    config, marking = job.config, None
    if config.switch:
        switching = Switching(job, config.switch, config.window_tokens)
        marking = stack.enter_context(marker(switching, config.given.marked_by, BLOCK))
    commit = reading.table.commit
    source = f"{config.given.source}@{commit}" if commit else config.given.source
    renderer = renderer_of(job, NamedModel(config.student, "student"))
    facts = Facts(config.given.name, source, config.max_length)
    return Importer(config.given, reading.layout, renderer, facts, marking)


def _values(given: GivenTraces, seen: _Seen, left_out: LeftOut) -> dict[str, Any]:
    """The summary: `rows` is the sum of `trajectories` and what was left out."""
    values = seen.summary.values()
    if given.spans is None:
        # Nobody knows who wrote which token.
        values["teacher_token_share"] = None
    rows = values["trajectories"] + left_out.rows
    return values | {"rows": rows, "left_out": dict(left_out.counts), "licence": given.licence}


def _threads(job: Job[GivenStage]) -> int:
    """Text is encoded outside of Python's lock, so this stage uses its share of the machine's cores."""
    return max(job.execution.threads, len(os.sched_getaffinity(0)) // job.execution.jobs)


def _field(given: GivenTraces) -> str:
    return f"synthesis.methods.{given.name}"
