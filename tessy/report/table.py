"""The result table: which methods, which columns, and its rendering for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from tessy.report.contract import Results, Row, parse_results
from tessy.report.finding import ORDERING, find

METHOD_ORDER = (
    "Teacher",
    "Student",
    "Student-Only",
    "Teacher-Score",
    "Teacher-Reference",
    "Teacher-Answer",
    "Teacher-Think",
    "Teacher-Mix",
    "Teacher-Only",
    "TESSY",
)
"""The order of the paper's Table 1, with the teacher itself first; other names follow as they come."""


@dataclass(frozen=True, slots=True)
class Column:
    """One benchmark under one metric, with the numbers of problems behind its cells."""

    benchmark: str
    metric: str
    problems: str
    in_domain: bool


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Methods as rows, benchmarks as columns; `cells` is keyed by (method, benchmark, metric)."""

    methods: list[str]
    columns: list[Column]
    cells: dict[tuple[str, str, str], Row]

    def cell(self, method: str, column: Column) -> Row | None:
        """The method's score in that column, or None where it was not measured."""
        return self.cells.get((method, column.benchmark, column.metric))


def in_method_order(methods: Iterable[str]) -> list[str]:
    """The distinct methods in the order of the paper's table."""
    found = list(dict.fromkeys(methods))
    return [m for m in METHOD_ORDER if m in found] + [m for m in found if m not in METHOD_ORDER]


def score_table(results: Results, *, further: bool = False) -> ScoreTable:
    """Arrange the rows; columns keep the order in which the rows name them.

    Of every benchmark only its first metric, the one its publishers report, or with `further` all others.
    """
    keys = list(dict.fromkeys((row.benchmark, row.metric) for row in results.rows))
    first = dict(reversed(keys))
    keys = [key for key in keys if (first[key[0]] != key[1]) == further]
    return ScoreTable(
        methods=in_method_order(row.method for row in results.rows),
        columns=[_column(results, *key) for key in keys],
        cells={(row.method, row.benchmark, row.metric): row for row in results.rows},
    )


def terminal_table(results: Mapping[str, Any]) -> Table:
    """The result table in percent, with 95 % intervals and the finding below it.

    `results` follows the `results.json` contract; raises `ValueError` naming the key that does not.
    """
    parsed = parse_results(results)
    scores = score_table(parsed)
    finding = find(parsed)
    table = Table(
        title=f"{parsed.recipe}: percent, 95 % intervals",
        caption=f"{' > '.join(ORDERING)}: {finding.word}. {finding.headline}",
        caption_justify="left",
    )
    table.add_column("method", no_wrap=True)
    for column in scores.columns:
        table.add_column(Text(f"{column.benchmark}\n{column.metric}, n = {column.problems}"), justify="right")
    for method in scores.methods:
        table.add_row(Text(method), *(_cell_text(scores.cell(method, column)) for column in scores.columns))
    return table


def _column(results: Results, benchmark: str, metric: str) -> Column:
    counts = {r.n_problems for r in results.rows if (r.benchmark, r.metric) == (benchmark, metric)}
    problems = str(min(counts)) if len(counts) == 1 else f"{min(counts)}–{max(counts)}"
    return Column(benchmark, metric, problems, benchmark not in results.out_of_domain)


def _cell_text(row: Row | None) -> Text:
    if row is None:
        return Text("–", style="dim")
    text = Text(f"{100 * row.value:.1f}", style="bold")
    text.append(f" [{100 * row.ci_low:.1f}, {100 * row.ci_high:.1f}]", style="not bold")
    if row.paper is not None:
        text.append(f"\npaper {100 * row.paper:.1f}", style="not bold dim italic")
    return text
