"""A sweep's results: `results.json`, and a page with every point and a curve per numeric parameter.

The points' own reports have all further results and are linked. Not covered: running the points
(`tessy.commands.sweep`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from tessy.artifacts import write_json, write_text
from tessy.report.contract import Results, Row
from tessy.report.figures import Dot, curve_panel
from tessy.report.page import Panel
from tessy.report.table import in_method_order, score_table
from tessy.report.templates import HERE, template


@dataclass(frozen=True, slots=True)
class SweepMetric:
    """`<method>/<benchmark>/<metric>`, and whether larger or smaller is better."""

    name: str
    goal: Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """A point's values by field, the folder of its report, and the report's content (None without one)."""

    parameters: Mapping[str, Any]
    report: str
    results: Results | None

    def row(self, name: str) -> Row | None:
        """The row called `<method>/<benchmark>/<metric>`."""
        rows = self.results.rows if self.results else ()
        return next((row for row in rows if row.name == name), None)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """Everything that the page shows; `recipe` is the recipe's name, `command` runs the sweep again."""

    name: str
    recipe: str
    description: str
    metric: SweepMetric
    command: str
    points: Sequence[SweepPoint]


def write_sweep(report: SweepReport, folder: Path) -> Path:
    """Write `results.json` and `index.html` into `folder`, next to the points' reports; returns the page."""
    write_json(folder / "results.json", results(report))
    write_text(folder / "index.html", render_sweep(report))
    return folder / "index.html"


def results(report: SweepReport) -> dict[str, Any]:
    """Every point's parameters, report folder and rows, as in the `results.json` of a run."""
    return {
        "sweep": report.name,
        "recipe": report.recipe,
        "metric": {"name": report.metric.name, "goal": report.metric.goal},
        "points": [
            {
                "parameters": dict(point.parameters),
                "report": point.report,
                "rows": [row.model_dump() for row in point.results.rows] if point.results else None,
            }
            for point in report.points
        ],
    }


def result_rows(report: SweepReport) -> Iterator[dict[str, Any]]:
    """One flat row per point and cell of its result table."""
    for point in report.points:
        for row in point.results.rows if point.results else ():
            kept = {"method", "benchmark", "metric", "value", "ci_low", "ci_high"}
            yield {**point.parameters, **row.model_dump(include=kept)}


def render_sweep(report: SweepReport) -> str:
    """The whole page as HTML."""
    tables = [score_table(point.results) if point.results else None for point in report.points]
    return template("sweep.html.jinja").render(
        report=report,
        best=best(report),
        fields=list(report.points[0].parameters),
        tables=list(zip(report.points, tables, strict=True)),
        columns=columns(report),
        panels_by_field={field: curves(report, field) for field in swept_numbers(report)},
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )


def best(report: SweepReport) -> tuple[SweepPoint, Row] | None:
    """The point with the best metric, of equals the first; None while no point has it."""
    measured = [(point, row) for point in report.points if (row := point.row(report.metric.name))]
    sign = 1 if report.metric.goal == "maximize" else -1
    return max(measured, key=lambda one: sign * one[1].value, default=None)


def swept_numbers(report: SweepReport) -> list[str]:
    """Fields whose values are numbers and differ between points."""
    fields = {
        f: [number(point.parameters[f]) for point in report.points] for f in report.points[0].parameters
    }
    return [field for field, values in fields.items() if None not in values and len(set(values)) > 1]


def columns(report: SweepReport) -> list[tuple[str, str]]:
    """Benchmarks with the metric that their publishers report, in the order of the points."""
    tables = (score_table(point.results) for point in report.points if point.results)
    return list(dict.fromkeys((c.benchmark, c.metric) for table in tables for c in table.columns))


def curves(report: SweepReport, field: str) -> list[Panel]:
    """One panel per benchmark: its metric against the values of `field`."""
    return [
        Panel(f"{benchmark}, {metric}", "95 % intervals", Markup(curve_panel(benchmark, field, lines)))
        for benchmark, metric in columns(report)
        if (lines := _lines(report, field, benchmark, metric))
    ]


def _lines(report: SweepReport, field: str, benchmark: str, metric: str) -> list[list[tuple[float, Dot]]]:
    """One line per method and setting of the other fields, so that a line's points differ only in `field`."""
    lines: dict[tuple[str, ...], list[tuple[float, Dot]]] = {}
    for point in report.points:
        others = [f"{name}={value}" for name, value in point.parameters.items() if name != field]
        x = number(point.parameters[field])
        for row in point.results.rows if point.results else ():
            if x is not None and (row.benchmark, row.metric) == (benchmark, metric):
                dot = Dot(row.method, row.value, row.ci_low, row.ci_high)
                lines.setdefault((row.method, *others), []).append((x, dot))
    methods = in_method_order(method for method, *_ in lines)
    ordered = sorted(lines, key=lambda key: methods.index(key[0]))
    return [sorted(lines[key], key=lambda point: point[0]) for key in ordered]


def number(value: Any) -> float | None:
    """`value` as a number, if it is one. YAML reads 1e-3 as text, which a recipe accepts as a number."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
