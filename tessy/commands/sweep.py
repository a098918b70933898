"""A sweep: runs a recipe at every point of a grid, one after another or several at once; where each runs its
stages is the recipe's `execution`.

The file is a W&B sweep configuration that also works with `wandb sweep` and `wandb agent`. Those need a
server; this does not. A point is the same run that an agent would start, with the same overrides and in the
same folder: points share every artifact they do not change, and an interrupted sweep can be resumed.

Not covered: searches other than grids, early stopping and several machines, which W&B's server provides.
"""

from __future__ import annotations

import itertools
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator
from rich.console import Console
from rich.text import Text

from tessy.artifacts import read_json
from tessy.commands.run import INTERRUPTED, RESULTS, check, run_planned
from tessy.config.base import Name, Section
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.errors import UserError, nearest
from tessy.experiment import plan
from tessy.processes import python_module
from tessy.report.contract import parse_results, score_name
from tessy.report.scores import STUDENT, main_metric
from tessy.report.sweep import SweepMetric, SweepPoint, SweepReport, result_rows, write_sweep
from tessy.runtime.plan import Plan
from tessy.terminal import mark
from tessy.tracking import Tracker

COMMAND = ("tessy", "run", "RECIPE", "${args_no_hyphens}")
"""How `command` ends: an agent puts the point's `section.key=value` arguments in the last one's place."""


class Metric(Section):
    """The sweep's metric: `<method>/<benchmark>/<metric>`, named as in the report."""

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"
    """W&B's default."""


class Parameter(Section):
    """The values of one field of the recipe: several, or a single one for all points."""

    values: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    value: Any = None

    @property
    def all(self) -> tuple[Any, ...]:
        return self.values or (self.value,)

    @model_validator(mode="after")
    def _values_survive_a_command_line(self) -> Self:
        if (self.values is None) == (self.value is None):
            raise ValueError("needs either `values`, a list, or one `value`")
        for value in self.all:
            if not _survives(value):
                raise ValueError(
                    f"{value!r} would not reach the recipe: an agent writes it as {str(value)!r}, which is "
                    "something else in YAML; put it into a recipe of its own, with this one as its `base`"
                )
        return self


def _survives(value: Any) -> bool:
    """Whether a recipe parses Python's `str(value)` as the same value."""
    try:
        read = yaml.safe_load(str(value))
        return bool(read == value or (isinstance(value, float) and float(read) == value))
    except (yaml.YAMLError, TypeError, ValueError):
        return False


class Sweep(Section):
    """A sweep file: the part of W&B's sweep configuration that a grid on this machine needs."""

    name: Name | None = None
    """The file's name unless given."""
    description: str = ""
    project: str | None = None
    """For W&B's server, as are the next two."""
    entity: str | None = None
    program: str | None = None
    method: Literal["grid"]
    metric: Metric
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    """By dotted field of the recipe."""
    command: tuple[str, ...]

    @property
    def recipe(self) -> str:
        return self.command[-2]

    @model_validator(mode="after")
    def _fields_decide_results(self) -> Self:
        for field in self.parameters:
            if field.partition(".")[0] in ("name", "execution"):
                raise ValueError(f"parameters.{field}: changes no result; give it in the recipe instead")
        return self

    @model_validator(mode="after")
    def _command_runs_a_recipe(self) -> Self:
        end = self.command[-len(COMMAND) :]
        if len(end) < len(COMMAND) or (*end[:2], *end[3:]) != (*COMMAND[:2], *COMMAND[3:]):
            raise ValueError(f"command {list(self.command)} must end with {list(COMMAND)}")
        return self


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the grid: values by field, and the run they make."""

    parameters: Mapping[str, Any]
    planned: Plan[Recipe]

    @property
    def overrides(self) -> str:
        """The overrides, quoted for a shell."""
        return shlex.join(overrides(self.parameters))


def overrides(parameters: Mapping[str, Any]) -> list[str]:
    """The arguments that an agent inserts for `${args_no_hyphens}`."""
    return [f"{field}={value}" for field, value in parameters.items()]


def read_sweep(path: Path) -> Sweep:
    """The sweep file at `path`; raises `UserError` listing every wrong field."""
    try:
        sweep = Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"sweep {path}: cannot be read: {error}") from None
    except ValidationError as error:
        faults = [f"sweep {path}: {_explain(detail, path)}" for detail in error.errors()]
        raise UserError("\n".join(faults)) from None
    return sweep if sweep.name else sweep.model_copy(update={"name": path.stem})


def _explain(detail: Any, path: Path) -> str:
    location = [str(part) for part in detail["loc"]]
    field, message = ".".join(location) or "the file", detail["msg"].removeprefix("Value error, ")
    known = Parameter if location[0:1] == ["parameters"] else Sweep
    if detail["type"] == "missing":
        return f"{field}: required, and missing; add it"
    if location[2:] == ["parameters"]:
        return f"{field}: reaches a recipe as a whole section; name every field of it, as {location[1]}.FIELD"
    server = f"W&B's server can do it: wandb sweep {path}"
    if location == ["method"]:
        return f"{field}: {detail['input']!r}, and this machine alone runs a 'grid'; {server}"
    if detail["type"] == "extra_forbidden":
        hint = nearest(location[-1], known.model_fields) or f"; if it is W&B's, {server}"
        return f"{field}: unknown to a grid on this machine{hint}"
    return f"{field}: {message}"


def plan_points(sweep: Sweep, runs_dir: Path) -> list[Point]:
    """Every point, planned and checked; raises `UserError` listing what would stop any of them."""
    points, faults = [], dict[str, str]()
    for values in itertools.product(*(parameter.all for parameter in sweep.parameters.values())):
        parameters = dict(zip(sweep.parameters, values, strict=True))
        try:
            planned = plan(load(sweep.recipe, overrides(parameters)))
            _require_metric(sweep.metric, planned.recipe)
            check(planned, runs_dir)
            points.append(Point(parameters, planned))
        except UserError as error:
            faults.setdefault(str(error), shlex.join(overrides(parameters)))
    if faults:
        raise UserError("\n".join(f"point {where}: {fault}" for fault, where in faults.items()))
    return points


def _require_metric(metric: Metric, recipe: Recipe) -> None:
    methods = [STUDENT, *recipe.synthesis.titles.values()]
    benchmarks = [(b.name, main_metric(b)) for b in recipe.evaluate.benchmarks]
    known = [score_name(method, name, main) for method in methods for name, main in benchmarks]
    if metric.name.rpartition("/")[0] not in {name.rpartition("/")[0] for name in known}:
        hint = nearest(metric.name, known) or f"; for example {known[-1]!r}"
        raise UserError(f"metric.name {metric.name!r}: no method and benchmark of the recipe's{hint}")


def run_sweep(path: Path, runs_dir: Path, at_once: int = 1) -> int:
    """Run every point of the sweep file at `path`, so many `at_once`; returns 1 if one failed, after running
    the others."""
    console, sweep = Console(), read_sweep(path)
    points = plan_points(sweep, runs_dir)
    folder = runs_dir / points[0].planned.recipe.name / f"sweep-{sweep.name}"
    statuses = []
    running = (
        _one_by_one(points, runs_dir, console)
        if at_once == 1
        else _side_by_side(points, sweep.recipe, runs_dir, folder, at_once, console)
    )
    for status in running:
        statuses.append(status)
        if status == INTERRUPTED:
            return INTERRUPTED
        report = _report(sweep, path, points, folder.parent)
        page = write_sweep(report, folder)
    _mirror(report, points[0].planned.recipe, folder)
    console.print(
        f"{page}: {statuses.count(0)} of {len(points)} points have results", highlight=False, soft_wrap=True
    )
    return int(any(statuses))


def _one_by_one(points: Sequence[Point], runs_dir: Path, console: Console) -> Iterator[int]:
    for number, point in enumerate(points, start=1):
        console.print(
            Text.assemble((f"Point {number} of {len(points)}: ", "bold"), point.overrides), soft_wrap=True
        )
        yield _run_point(point, runs_dir, console)


def _side_by_side(
    points: Sequence[Point], recipe: str, runs_dir: Path, folder: Path, at_once: int, console: Console
) -> Iterator[int]:
    """Points as runs of their own in the same folder, where each makes what no other has begun."""

    def run(number: int, point: Point) -> int:
        said = Text.assemble((f"Point {number} of {len(points)}: ", "bold"), point.overrides)
        console.print(said, soft_wrap=True)
        command = ["run", recipe, *overrides(point.parameters), "--runs-dir", str(runs_dir)]
        with (folder / f"point-{number}.log").open("wb") as log:
            status = subprocess.call(python_module("tessy.cli", *command), stdout=log, stderr=log)
        console.print(Text.assemble(mark(not status, console.encoding), f"point {number}: {log.name}"))
        return status

    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(run, range(1, len(points) + 1), points)


def _run_point(point: Point, runs_dir: Path, console: Console) -> int:
    try:
        return run_planned(point.planned, runs_dir, console)
    except UserError as error:
        console.print(Text.assemble(mark(False, console.encoding), str(error)), soft_wrap=True)
        return 2


def _report(sweep: Sweep, path: Path, points: list[Point], folder: Path) -> SweepReport:
    """The sweep's results so far, from the artifacts in `folder`."""
    reported = []
    for point in points:
        artifact = point.planned.stages[-1].folder
        made = folder / artifact / RESULTS
        results = parse_results(read_json(made)) if made.exists() else None
        reported.append(SweepPoint(point.parameters, artifact, results))
    metric = SweepMetric(sweep.metric.name, sweep.metric.goal)
    command = f"tessy sweep {path}"
    return SweepReport(str(sweep.name), folder.name, sweep.description, metric, command, reported)


def _mirror(report: SweepReport, recipe: Recipe, folder: Path) -> None:
    tracking = recipe.execution.tracking
    tracker = Tracker(
        folder,
        mode=tracking.wandb,
        project=tracking.project,
        group=recipe.name,
        name=folder.name,
        kind="sweep",
        config={"points": len(report.points), "command": report.command},
        mirror=folder.parent / "wandb",
    )
    tracker.table("results", [dict(row) for row in result_rows(report)])
    tracker.close()
