"""`results.json` is refused where it breaks the contract, and written as it was given."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from report_samples import full_report, full_results, results, row
from rich.console import Console

from tessy.report import ReportInput, terminal_table, write_report
from tessy.report.contract import parse_results
from tessy.report.figures import PLACEHOLDERS, Dot, dot_panel

CONTRACT = {"recipe", "fingerprint", "created", "rows", "synthesis", "timing"}


def test_results_round_trip_with_keys_beyond_the_contract(tmp_path: Path) -> None:
    given = full_results() | {"note": "kept as it is, with ümlauts"}
    write_report(ReportInput(given, command="make reproduce"), tmp_path)
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert written == given
    assert set(written) >= CONTRACT


def test_nothing_but_the_two_files_is_left(tmp_path: Path) -> None:
    index = write_report(full_report(), tmp_path)
    write_report(full_report(), tmp_path)
    assert index == tmp_path / "index.html"
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "results.json"}


@pytest.mark.parametrize("key", sorted(row("TESSY", "a", 0.5)))
def test_a_missing_key_of_a_row_is_named(key: str) -> None:
    broken = row("TESSY", "a", 0.5)
    del broken[key]
    with pytest.raises(ValueError, match=rf"results\.rows\[0\]\.{key}: Field required"):
        parse_results(results(rows=[broken]))


@pytest.mark.parametrize("key", sorted(CONTRACT))
def test_a_missing_key_is_named(key: str) -> None:
    raw = results()
    del raw[key]
    with pytest.raises(ValueError, match=f"results.{key}: Field required"):
        parse_results(raw)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rows": [row("TESSY", "a", 55.0)]}, r"results\.rows\[0\]\.value: .*55"),
        ({"rows": [row("TESSY", "a", 0.5, ci_low=0.6)]}, r"results\.rows\[0\]: .*ci_low <= value"),
        ({"rows": [row("TESSY", "a", 0.5, paper="25.4")]}, r"results\.rows\[0\]\.paper"),
        ({"rows": [row("TESSY", "a", 0.5)] * 2}, "TESSY / a / pass@1 more than once"),
        ({"timing": {"train": float("nan")}}, r"results\.timing\.train"),
        ({"synthesis": {"TESSY": {"trajectories": 1}}}, r"results\.synthesis\.TESSY\.failed"),
    ],
)
def test_impossible_values_are_refused_by_name(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named):
        write_report(ReportInput(results(**change), command="make reproduce"), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_rounding_at_the_ends_is_no_error() -> None:
    parse_results(
        results(rows=[row("TESSY", "a", 1.0, ci_high=1 + 2e-16), row("Student", "a", 0.0, ci_low=-1e-17)])
    )


def test_terminal_table_holds_scores_intervals_paper_and_finding() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(terminal_table(results()))
    text = console.export_text()
    assert "67.5 [62.5, 72.5]" in text
    assert "paper 25.4" in text
    assert "TESSY > Student > Teacher-Only: seen." in text


def test_figures_leave_their_colours_to_the_page() -> None:
    svg = dot_panel('a "b" <c>', [Dot("TESSY", 0.5, 0.4, 0.6), Dot("Teacher", 1.0, 0.9, 1.0)])
    assert "var(--tessy)" in svg
    assert "currentColor" in svg
    assert not any(placeholder in svg for placeholder in PLACEHOLDERS)
    assert ">TESSY</text>" in svg
    assert "<c>" not in svg
