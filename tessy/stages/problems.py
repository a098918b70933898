"""The stage `problems`: training prompts, from the miniature or from a file, as one dataset.

Only prompts are read; responses in a source are ignored, because all responses are synthesised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tessy.artifacts import read_parquet, read_rows, write_parquet
from tessy.config.base import MINIATURE
from tessy.config.execution import Execution
from tessy.config.problems import Problems
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.layout import PROBLEMS
from tessy.records import Problem
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import local


class ProblemsStage(StageConfig):
    """Which prompts, and how many of them."""

    problems: Problems

    @property
    def files(self) -> list[str]:
        return local([self.problems.source])

    def faults(self, execution: Execution) -> Iterator[str]:
        for source in self.files:
            if not Path(source).is_file():
                yield f"problems.source {source!r}: no such file; give an existing one or 'miniature'"


KIND = Kind("problems", ProblemsStage, revision=1, declared=f"{__name__}:KIND", run=f"{__name__}:run")


def plan(recipe: Recipe, graph: Graph, world: str | None) -> str:
    inputs = {"world": world if recipe.problems.source == MINIATURE else None}
    return graph.add(KIND, "problems", ProblemsStage(problems=recipe.problems), inputs)


def run(job: Job[ProblemsStage]) -> None:
    settings = job.config.problems
    if settings.source == MINIATURE:
        problems = list(read_parquet(job.inputs["world"] / PROBLEMS, Problem))
    else:
        problems = list(read_file(Path(settings.source)))
    problems = problems[: settings.limit]
    count = write_parquet(job.out / PROBLEMS, problems, "problems", "Prompts to synthesise responses for.")
    job.tracker.log({"problems": count})


def read_file(path: Path) -> Iterator[Problem]:
    """Problems from .jsonl or .parquet rows with `id` and `prompt`; raises `UserError` naming the line."""
    for number, row in _rows(path):
        for field in ("id", "prompt"):
            value = row.get(field)
            if not isinstance(value, str | int) or not str(value).strip():
                raise UserError(
                    f"{path}, row {number}: `{field}` is {value!r}; it must be text that is not empty"
                )
            try:
                str(value).encode()
            except UnicodeEncodeError as error:
                raise UserError(
                    f"{path}, row {number}: `{field}` is no UTF-8 text at character {error.start}; mend it"
                ) from None
        yield Problem(str(row["id"]), str(row["prompt"]))


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.suffix == ".parquet":
        try:
            yield from enumerate(read_rows(path), start=1)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from None
        return
    if path.suffix != ".jsonl":
        raise UserError(f"problems.source {path}: must be 'miniature' or end in .jsonl or .parquet")
    # Invalid UTF-8 becomes lone surrogates, which are reported with their row as those of JSON escapes are.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}, row {number}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, row {number}: {type(row).__name__} where an object is needed")
            yield number, row
