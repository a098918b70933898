"""The page: renders `results.json`, curves and traces as one self-contained HTML file.

Text written by models is untrusted: the template escapes everything, and the page's content security
policy allows no scripts except its own and no requests. Not covered: pages that compare several
runs (`tessy.report.sweep`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TypedDict

from markupsafe import Markup

from tessy.artifacts import read_json, write_json, write_text
from tessy.records import Span, Trajectory
from tessy.report.contract import Group, Results, parse_results
from tessy.report.figures import Dot, dot_panel, loss_curves
from tessy.report.finding import CLAIM, find
from tessy.report.table import in_method_order, score_table
from tessy.report.templates import HERE, template


class LineageRow(TypedDict):
    """A stage: its fingerprint, duration, and the stages that it read."""

    stage: str
    fingerprint: str
    seconds: float
    inputs: Sequence[str]


@dataclass(frozen=True)
class ReportInput:
    """Everything that a report shows. Empty fields have no section on the page.

    `results` follows the `results.json` contract (`tessy.report.contract`). `curves` maps a run's
    label, which starts with its method's name, to its points `{"step", "loss"}`. `command` is what
    reproduces the run, `recipe_yaml` the resolved recipe, `environment` versions and hardware.
    """

    results: Mapping[str, Any]
    command: str
    curves: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    traces: Sequence[Trajectory] = ()
    recipe_yaml: str = ""
    lineage: Sequence[LineageRow] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TraceView:
    """A trajectory as shown on the page: thinking as prose, the answer as code."""

    trajectory: Trajectory
    thinking: list[Span]
    answer: list[Span]
    hand_overs: int
    tokens: dict[str, int]


@dataclass(frozen=True, slots=True)
class Panel:
    """A small figure with a caption."""

    title: str
    note: str
    svg: Markup


def write_report(report: ReportInput, out_dir: Path) -> Path:
    """Write `index.html` and `results.json` into `out_dir`, each atomically; returns the page's path.

    Raises `ValueError` naming the key of `results` that breaks the contract, before writing anything.
    """
    page = render_page(report)
    write_json(out_dir / "results.json", dict(report.results))
    write_text(out_dir / "index.html", page)
    return out_dir / "index.html"


def render_page(report: ReportInput) -> str:
    """The whole page as HTML; raises `ValueError` where `results` breaks the contract."""
    results = parse_results(report.results)
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return template("page.html.jinja").render(
        results=results,
        report=report,
        claim=CLAIM,
        finding=find(results),
        scores=score_table(results),
        further=score_table(results, further=True),
        score_panels=score_panels(results),
        breakdown_panels=breakdown_panels(results),
        other_groups=other_groups(results),
        synthesis={m: results.synthesis[m] for m in in_method_order(results.synthesis)},
        loss_figure=Markup(loss_curves(report.curves)) if report.curves else None,
        traces=[trace_view(trace) for trace in report.traces],
        stages=stages(results, report.lineage),
        paper=read_json(HERE / "paper.json"),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def score_panels(results: Results) -> list[Panel]:
    """One panel per column of the result table."""
    scores = score_table(results)
    panels = []
    for column in scores.columns:
        rows = [row for method in scores.methods if (row := scores.cell(method, column))]
        dots = [Dot(row.method, row.value, row.ci_low, row.ci_high) for row in rows]
        where = "in domain" if column.in_domain else "out of domain"
        title = f"{column.benchmark}, {column.metric}"
        panels.append(Panel(title, f"{where}, n = {column.problems}", Markup(dot_panel(title, dots))))
    return panels


def breakdown_panels(results: Results) -> list[list[Panel]]:
    """One list per benchmark of one panel per group by difficulty, in the order the rows name them."""
    rows = [row for row in results.breakdown if row.by == "difficulty"]
    benchmarks = dict.fromkeys(row.benchmark for row in rows)
    return [_group_panels([row for row in rows if row.benchmark == b]) for b in benchmarks]


def other_groups(results: Results) -> dict[tuple[str, str], dict[str, dict[str, Group]]]:
    """Breakdowns by other properties than difficulty: (benchmark, by) -> group -> method -> score."""
    out: dict[tuple[str, str], dict[str, dict[str, Group]]] = {}
    for row in results.breakdown:
        if row.by != "difficulty":
            out.setdefault((row.benchmark, row.by), {}).setdefault(row.group, {})[row.method] = row
    return out


def _group_panels(rows: Sequence[Group]) -> list[Panel]:
    panels = []
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        dots = [Dot(row.method, row.value, row.ci_low, row.ci_high) for row in members]
        title = f"{members[0].benchmark}, {group}"
        panels.append(Panel(title, f"n = {members[0].n_problems}", Markup(dot_panel(title, dots))))
    return panels


def trace_view(trace: Trajectory) -> TraceView:
    """Split a trajectory at its first answer span, and count hand-overs and tokens by author."""
    kinds = [span.kind for span in trace.spans]
    start = kinds.index("answer") if "answer" in kinds else len(kinds)
    authors = [author for author, _ in groupby(s.author for s in trace.spans if s.kind != "markup")]
    tokens = {"student": 0, "teacher": 0}
    for span in trace.spans:
        tokens[span.author] += span.tokens
    return TraceView(trace, trace.spans[:start], trace.spans[start:], max(len(authors) - 1, 0), tokens)


def stages(results: Results, lineage: Sequence[LineageRow]) -> list[LineageRow]:
    """The lineage, then the timed stages that are not in it."""
    named = {row["stage"] for row in lineage}
    timed = [
        LineageRow(stage=stage, fingerprint="", seconds=seconds, inputs=())
        for stage, seconds in results.timing.items()
        if stage not in named
    ]
    return [*lineage, *timed]
