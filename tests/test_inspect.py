"""`tessy inspect` shows what an artifact recorded, in the terminal and as a page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, cooperative_spans, teacher_spans, trace

from tessy.artifacts import write_parquet
from tessy.cli import main
from tessy.commands.inspect import STYLES, lines
from tessy.records import Role, Trajectory
from tessy.report.traces import Piece, inspected, load, render_traces


def with_roll_back() -> Trajectory:
    spans = cooperative_spans()
    spans[1] = replace(spans[1], discarded=" keep x where")
    return trace("TESSY", spans)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    traces = [
        with_roll_back(),
        trace("TESSY", cooperative_spans(HOSTILE), "hostile"),
        trace("Teacher-Only", teacher_spans(), "third"),
    ]
    write_parquet(tmp_path / "trajectories.parquet", traces, "traces", "")
    return tmp_path


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["inspect", *map(str, arguments)])
    return done.exit_code, done.output


def test_the_terminal_shows_every_author_and_what_was_rolled_back(artifact: Path) -> None:
    code, shown = run(artifact)
    assert code == 0
    for text in (
        "student 99 tokens",
        "teacher 31 tokens",
        "Okay, so first of all",
        "[- keep x where-]",
        f"«{HOSTILE}»",
    ):
        assert text in shown
    assert "31 of 161 rolled back in 1 places" in shown.replace("\n", " ")


def test_one_sample_or_problem_can_be_asked_for(artifact: Path) -> None:
    assert run(artifact, "--sample", "third")[1].count("finished") == 1
    assert run(artifact, "--sample", "third#0", "--sample", "hostile")[1].count("finished") == 2
    assert run(artifact, "--limit", "1")[1].count("finished") == 1
    code, shown = run(artifact, "--sample", "nobody")
    assert code == 2
    assert "no trajectory of nobody" in shown


def test_a_page_is_written_with_everything_escaped(artifact: Path, tmp_path: Path) -> None:
    code, shown = run(artifact, "--html", tmp_path / "traces.html")
    assert (code, shown.strip()) == (0, f"3 traces in {tmp_path / 'traces.html'}")
    page = (tmp_path / "traces.html").read_text()
    assert page.count("<article") == 3
    assert page.count("<script") == 1
    assert "&lt;script&gt;" in page
    assert re.search(r"<del title=\"rolled back, student\"> keep x where</del>", page)
    assert not re.search(r'(?:src|href)="(?!data:)', page)


def test_an_artifact_without_discarded_text_is_shown(tmp_path: Path) -> None:
    write_parquet(tmp_path / "trajectories.parquet", [with_roll_back()], "traces", "")
    table = pq.read_table(tmp_path / "trajectories.parquet")
    rows = table.to_pylist()
    for row in rows:
        row.pop("failure", None)
        for span in row["spans"]:
            span.pop("discarded", None)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "old.parquet")
    (old,) = load(tmp_path / "old.parquet", samples=(), limit=9)
    assert inspected([old])[0].roll_backs == 0


def test_pieces_of_a_span_are_its_text_whatever_the_tokens_are() -> None:
    spans = cooperative_spans()
    thinking = [span for span in spans if span.kind in ("style", "capability")]
    at = len(thinking[0].text)
    (one,) = inspected(
        [trace("TESSY", spans)],
        [{"student": [(0, 0.95), (5, 0.6)], "teacher": [(at + 2, 0.2), (at + 5, 0.97)]}],
    )
    first, second = one.thinking[:2]
    assert first.pieces == (Piece("Okay,", 0.95), Piece(first.span.text[5:], 0.6))
    assert [piece.in_doubt for piece in first.pieces] == [False, True]
    assert [piece.style for piece in second.pieces] == [None, 0.2, 0.97]
    page = render_traces([one], "t")
    assert 'class="token doubt" title="style, P(style) 0.600"' in page


def test_a_label_is_what_the_predictors_threshold_says() -> None:
    spans = cooperative_spans()
    (one,) = inspected([trace("TESSY", spans)], [{"student": [(0, 0.6)]}], {"student": 0.7})
    assert one.thinking[0].pieces[0].label == "capability"
    assert one.thinking[1].pieces[0].label == ""


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1)), max_size=30))
def test_no_tokens_lose_or_change_text(tokens: list[tuple[int, float]]) -> None:
    ordered: dict[Role, list[tuple[int, float]]] = {"student": sorted(tokens), "teacher": sorted(tokens)}
    (one,) = inspected([trace("TESSY", cooperative_spans())], [ordered])
    assert ["".join(piece.text for piece in s.pieces) for s in one.stretches] == [
        s.span.text for s in one.stretches
    ]


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_parquet(tmp_path / "several" / "never" / "trajectories.parquet", [with_roll_back()], "traces", "")
    for arguments, said in (
        ((tmp_path / "empty",), "no trajectories.parquet"),
        ((tmp_path / "several",), f"name {tmp_path / 'several' / 'never'}"),
        ((tmp_path / "gone.parquet",), "no such file"),
    ):
        code, shown = run(*arguments)
        assert code == 2
        assert said in shown
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    assert "not trajectories" in run(tmp_path / "other.parquet")[1]
    (tmp_path / "text.parquet").write_text("no parquet")
    assert "not trajectories" in run(tmp_path / "text.parquet")[1]
    write_parquet(tmp_path / "torn.parquet", [with_roll_back()], "traces", "")
    whole = (tmp_path / "torn.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[:4] + b"?" * 400 + whole[404:])
    assert "not trajectories" in run(tmp_path / "torn.parquet")[1]
    write_parquet(tmp_path / "good.parquet", [with_roll_back()], "traces", "")
    code, shown = run(tmp_path / "good.parquet", "--html", "/proc/traces.html")
    assert (code, "cannot be written" in shown) == (2, True)


def test_a_terminal_does_not_obey_what_models_write(tmp_path: Path) -> None:
    wild = "\x1b]0;mine\x07\x9b31m\tred"
    spans = [replace(span, discarded=wild) for span in cooperative_spans(wild)]
    odd = replace(trace("TESSY", spans, wild), prompt=wild, stop_reason="failed", failure=f"gone {wild}")
    write_parquet(tmp_path / "odd.parquet", [odd], "traces", "")
    code, shown = run(tmp_path / "odd.parquet")
    assert code == 0
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}
    assert "failed: gone \ufffd]0;mine" in shown


def test_a_trace_that_nobody_wrote_is_shown(tmp_path: Path) -> None:
    nothing = replace(trace("TESSY", [], "none"), stop_reason="failed", failure="unreachable")
    write_parquet(tmp_path / "none.parquet", [nothing], "traces", "")
    assert "failed: unreachable" in run(tmp_path / "none.parquet")[1]
    assert "failed: unreachable" in render_traces(inspected([nothing]), "t")


def test_with_colours_authors_need_no_marks() -> None:
    (one,) = inspected([with_roll_back()])
    body = list(lines(one, colours=True))[-1]
    assert "«" not in body.plain
    assert "[-" not in body.plain
    styles = {body.plain[span.start : span.end].strip(): str(span.style) for span in body.spans}
    assert styles["keep x where"] == "red strike dim"
    assert styles["keep x where str(x) == str(x)[::-1]"] == STYLES["teacher"]
