"""The page and the JSON of a diagnosis.

Text written by models is untrusted: the template escapes everything, and no script runs on the page.
Not covered: how the numbers came about (`tessy.diagnosis`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from markupsafe import Markup

from tessy.artifacts import read_json, write_json, write_text
from tessy.diagnosis.prediction import Prediction, Trained
from tessy.diagnosis.report import Diagnosis, Shown
from tessy.diagnosis.tokens import KINDS
from tessy.report.figures import Pair, scatter_panel, whisker_panel
from tessy.report.page import Panel
from tessy.report.templates import HERE, template

DRAWN = ("all", "style")
"""Gaps that are drawn; the table has them all."""
EVIDENCE = HERE / "evidence.json"
"""How well the gap predicted what training did in the miniature, and the command that found it."""


def write_diagnosis(found: Shown, out: Path) -> Path:
    """Write `index.html` and `diagnosis.json` into `out`; returns the page."""
    write_json(out / "diagnosis.json", {**asdict(found.contents), "command": found.command})
    write_text(out / "index.html", render_diagnosis(found))
    return out / "index.html"


def render_diagnosis(found: Shown) -> str:
    """The whole page as HTML."""
    contents = found.contents
    return template("diagnosis.html.jinja").render(
        found=contents,
        headline=headline(contents),
        gap_figure=Markup(
            whisker_panel(
                "nll per token by part",
                {
                    part: {"own traces": gap.own.nll, "the set": gap.found.nll}
                    for part, gap in contents.gaps.items()
                },
            )
        ),
        typical=[(one, shade(one.nll)) for one in found.typical],
        command=found.command,
        kinds=KINDS,
        evidence=read_json(EVIDENCE) if EVIDENCE.exists() else None,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )


def headline(found: Diagnosis) -> str:
    """The finding in a sentence: where the set surprises the student more than its own traces do."""
    parts = [part for part in ("style", "capability", "answer") if part in found.gaps]
    if not parts:
        return "Nothing of the set and of the student's own traces could be compared."
    largest = max(parts, key=lambda part: found.gaps[part].difference.value)
    gap = found.gaps[largest].difference
    if gap.low <= 0:
        return "The set surprises the student no more than its own traces do."
    return (
        f"A token of {largest} costs the student {gap.value:.2f} nats more than in its own traces "
        f"({gap.low:.2f} to {gap.high:.2f}): that is where training would change it most."
    )


def shade(nll: float) -> int:
    """How strongly a token is marked, in percent: none where it was expected, all from 6 nats on."""
    return round(100 * min(1.0, max(0.0, nll) / 6))


def write_predictions(runs: Sequence[Trained], found: Sequence[Prediction], command: str, out: Path) -> Path:
    """Write `index.html` and `predictions.json` into `out`; returns the page."""
    rows = [{**asdict(run), "changes": run.changes} for run in runs]
    write_json(
        out / "predictions.json",
        {"runs": rows, "predictions": [asdict(one) for one in found], "command": command},
    )
    page = template("predictions.html.jinja").render(
        runs=runs,
        found=found,
        panels=prediction_panels(runs, found),
        gaps=list(dict.fromkeys(name for run in runs for name in run.gaps)),
        benchmarks=list(dict.fromkeys(name for run in runs for name in run.changes)),
        command=command,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def prediction_panels(runs: Sequence[Trained], found: Sequence[Prediction]) -> list[Panel]:
    """A panel per benchmark for each gap in `DRAWN`, with every run."""
    panels = []
    for one in (one for one in found if one.gap in DRAWN):
        pairs = [
            Pair(run.method, run.gaps[one.gap], 100 * run.changes[one.benchmark])
            for run in runs
            if one.gap in run.gaps and one.benchmark in run.changes
        ]
        c = one.correlation
        note = f"rank correlation {c.value:.2f} ({c.low:.2f} to {c.high:.2f}), {one.runs} runs"
        title = f"{one.benchmark} by {one.gap}"
        panels.append(
            Panel(title, note, Markup(scatter_panel(title, f"{one.gap} gap, nats", "points won", pairs)))
        )
    return panels
