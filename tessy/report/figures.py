"""The figures, as SVG to be placed inside the page.

Text stays text, the background is transparent, and colours come from the page's style sheet: drawing
uses placeholder colours that become `currentColor` and `var(--...)`, so one figure works in light mode,
dark mode and print. Methods differ by label and marker too, never by colour alone. Small panels
instead of one wide figure, so that a phone stacks them at a readable size. Not covered: interaction.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

from tessy.report.table import in_method_order
from tessy.statistics import Estimate

WIDTH = 3.1
"""Inches; the page shows a panel at about this width, so that 9 pt stay readable."""

INK, FAINT, OTHER = "#010101", "#010102", "#010103"
METHOD_COLOURS = {"Student": "#010104", "Teacher-Only": "#010105", "TESSY": "#010106"}
PLACEHOLDERS = {
    INK: "currentColor",
    FAINT: "var(--rule)",
    OTHER: "var(--muted)",
    METHOD_COLOURS["Student"]: "var(--student)",
    METHOD_COLOURS["Teacher-Only"]: "var(--teacher)",
    METHOD_COLOURS["TESSY"]: "var(--tessy)",
}
FACTORS = 3.0
"""Where the largest value is so many times the smallest, steps are read as factors: a logarithmic axis."""
NUDGE = 3.0
"""Between the whiskers of two methods at one value, so that neither hides the other, in points."""
MARKERS = {"Student": "o", "Teacher-Only": "s", "TESSY": "D"}
OTHER_MARKERS = ("v", "^", "<", ">", "P", "X", "*")
LINES = {"Student": ":", "Teacher-Only": "--", "TESSY": "-"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
}


@dataclass(frozen=True, slots=True)
class Dot:
    """An estimate: a fraction with the ends of its 95 % interval."""

    method: str
    value: float
    low: float
    high: float


def dot_panel(title: str, dots: Sequence[Dot]) -> str:
    """A dot and whisker per method on an axis from 0 to 100 %, methods in the paper's order."""
    by_method = {dot.method: dot for dot in dots}
    methods = in_method_order(by_method)
    height = 0.3 * len(methods) + 0.3
    with mpl.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, height))
        left = 0.13 + 0.068 * max(map(len, methods))
        axes = figure.add_axes((left / WIDTH, 0.25 / height, (2.62 - left) / WIDTH, 1 - 0.28 / height))
        for y, method in enumerate(methods):
            _draw_dot(axes, y, by_method[method])
        axes.set(xlim=(0, 100), ylim=(len(methods) - 0.4, -0.6), xticks=range(0, 101, 50))
        axes.set_yticks(range(len(methods)), methods)
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.tick_params(axis="x", labelsize=7.5)
        _clear_frame(axes, grid="x")
        return _svg(figure, f"{title}: " + "; ".join(map(_spoken, (by_method[m] for m in methods))))


def loss_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Training loss by step: one line per run, coloured by the method its label starts with."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": "loss"}):
        figure = Figure(figsize=(5.0, 2.7))
        axes = figure.add_axes((0.11, 0.15, 0.87, 0.82))
        named: set[str] = set()
        for label, points in curves.items():
            method = _method_of(label)
            axes.plot(
                [point["step"] for point in points],
                [point["loss"] for point in points],
                color=METHOD_COLOURS.get(method, OTHER),
                linestyle=LINES.get(method, "-."),
                linewidth=1.3,
                label=f"_{label}" if method in named else method,
            )
            named.add(method)
        axes.set(xlabel="step", ylabel="training loss")
        axes.margins(x=0.01)
        axes.legend(frameon=False, handlelength=2.6)
        _clear_frame(axes, grid="y")
        return _svg(figure, "Training loss by step for " + ", ".join(curves))


def curve_panel(title: str, xlabel: str, lines: Sequence[Sequence[tuple[float, Dot]]]) -> str:
    """Estimates in percent against a number: one line per method, by ascending x, a whisker at each dot."""
    values = sorted({x for line in lines for x, _ in line})
    methods = list(dict.fromkeys(line[0][1].method for line in lines))
    with mpl.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, 2.3))
        axes = figure.add_axes((0.15, 0.18, 0.81, 0.68))
        _scale_to(axes, values)
        named: set[str] = set()
        for line in lines:
            method = line[0][1].method
            points = NUDGE * (methods.index(method) - (len(methods) - 1) / 2)
            nudge = ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)
            _draw_curve(axes, line, "_" + method if method in named else method, nudge)
            named.add(method)
        axes.set(xlabel=xlabel, ylabel="percent", ylim=(0, 100), yticks=range(0, 101, 25))
        axes.legend(loc="lower left", bbox_to_anchor=(-0.17, 1), ncols=3, frameon=False, fontsize=7.5)
        _clear_frame(axes, grid="y")
        spoken = (f"{xlabel} {x:g}, {_spoken(dot)}" for line in lines for x, dot in line)
        return _svg(figure, f"{title}: " + "; ".join(spoken))


@dataclass(frozen=True, slots=True)
class Pair:
    """A run in a scatter plot: its method and two numbers."""

    method: str
    x: float
    y: float


def scatter_panel(title: str, xlabel: str, ylabel: str, pairs: Sequence[Pair]) -> str:
    """A mark per pair; methods have their own colour and marker."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, 2.5))
        axes = figure.add_axes((0.2, 0.19, 0.78, 0.6))
        for number, method in enumerate(in_method_order(pair.method for pair in pairs)):
            own = [pair for pair in pairs if pair.method == method]
            axes.plot(
                [pair.x for pair in own],
                [pair.y for pair in own],
                linestyle="none",
                color=METHOD_COLOURS.get(method, OTHER),
                marker=MARKERS.get(method, OTHER_MARKERS[number % len(OTHER_MARKERS)]),
                markersize=5,
                clip_on=False,
                label=method,
            )
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.25, 1), ncols=3, frameon=False, fontsize=6.5)
        _clear_frame(axes, grid="y")
        spoken = "; ".join(f"{pair.method} {pair.x:.2f}, {pair.y:.1f}" for pair in pairs)
        return _svg(figure, f"{title}: {spoken}")


def whisker_panel(title: str, rows: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Estimates from 0 on, any unit, two sides beside each other in every row: the student's own is a dot,
    the other a square."""
    looks = zip((METHOD_COLOURS["Student"], METHOD_COLOURS["Teacher-Only"]), ("o", "s"), strict=True)
    sides = dict(zip(dict.fromkeys(side for row in rows.values() for side in row), looks, strict=False))
    height = 0.42 * len(rows) + 0.7
    with mpl.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.29, 0.45 / height, 0.67, 1 - 0.75 / height))
        for y, row in enumerate(rows.values()):
            for side, one in row.items():
                colour, marker = sides[side]
                place = y + (0.15 if marker == "s" else -0.15)
                axes.plot((one.low, one.high), (place, place), color=colour, linewidth=2)
                axes.plot(one.value, place, marker=marker, color=colour, linestyle="none", markersize=6)
        for side, (colour, marker) in sides.items():
            axes.plot([], [], color=colour, marker=marker, linestyle="none", label=side)
        axes.set(xlim=(0, None), ylim=(len(rows) - 0.5, -0.5), xlabel="nats per token")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.legend(loc="lower left", bbox_to_anchor=(-0.4, 1), ncols=2, frameon=False, fontsize=8)
        _clear_frame(axes, grid="x")
        spoken = (
            f"{name}, {side} {one.value:.2f}" for name, row in rows.items() for side, one in row.items()
        )
        return _svg(figure, f"{title}: " + "; ".join(spoken))


def _scale_to(axes: Axes, values: Sequence[float]) -> None:
    """An axis for ascending `values`, with a tick at each."""
    if values[0] > 0 and values[-1] / values[0] >= FACTORS:
        axes.set_xscale("log")
    axes.plot(values, [0] * len(values), linestyle="none")
    axes.margins(x=0.08)
    # Fixed before any shifted marks are drawn, which would change the limits.
    axes.set_xlim(axes.get_xlim())
    axes.set_xticks(values, [f"{x:g}" for x in values], fontsize=7.5)
    axes.minorticks_off()


def _draw_curve(axes: Axes, line: Sequence[tuple[float, Dot]], label: str, nudge: Transform) -> None:
    method = line[0][1].method
    axes.errorbar(
        [x for x, _ in line],
        [100 * dot.value for _, dot in line],
        yerr=[
            [100 * max(0.0, dot.value - dot.low) for _, dot in line],
            [100 * max(0.0, dot.high - dot.value) for _, dot in line],
        ],
        color=METHOD_COLOURS.get(method, OTHER),
        linestyle=LINES.get(method, "-."),
        marker=MARKERS.get(method, "v"),
        markersize=5,
        linewidth=1.3,
        clip_on=False,
        label=label,
        transform=axes.transData + nudge,
    )


def _draw_dot(axes: Axes, y: int, dot: Dot) -> None:
    colour = METHOD_COLOURS.get(dot.method, OTHER)
    axes.plot((100 * dot.low, 100 * dot.high), (y, y), color=colour, linewidth=2, solid_capstyle="round")
    marker = MARKERS.get(dot.method, "v")
    axes.plot(100 * dot.value, y, marker=marker, markersize=6, color=colour, clip_on=False, zorder=3)
    axes.annotate(
        f"{100 * dot.value:.1f}",
        (1 - 0.02 / WIDTH, y),
        xycoords=("figure fraction", "data"),
        ha="right",
        va="center",
    )


def _spoken(dot: Dot) -> str:
    return f"{dot.method} {100 * dot.value:.1f} %, {100 * dot.low:.1f} to {100 * dot.high:.1f}"


def _method_of(label: str) -> str:
    """The longest known method that is a prefix of `label`, else the label itself."""
    known = [method for method in METHOD_COLOURS if label.startswith(method)]
    return max(known, key=len, default=label)


def _clear_frame(axes: Axes, grid: str) -> None:
    axes.tick_params(axis="y", pad=6)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom" and grid == "y")
    axes.grid(axis="x" if grid == "x" else "y")
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)


def _svg(figure: Figure, spoken: str) -> str:
    """The bare `<svg>` element, scalable, named for screen readers, without ids that could collide."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    for placeholder, colour in PLACEHOLDERS.items():
        svg = svg.replace(placeholder, colour)
    return svg.replace("<svg", f'<svg class="figure" role="img" aria-label="{_attribute(spoken)}"', 1)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
