"""A kill at any byte costs the line being written, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.jsonl import AppendedLines, whole_lines

ROWS = [{"id": "a"}, {"id": "b", "text": "zwei\nZeilen"}, {"id": "ü"}]
LINES = [json.dumps(row).encode() + b"\n" for row in ROWS]


@given(st.integers(0, sum(map(len, LINES))))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    path.write_bytes(b"".join(LINES)[:cut])
    kept = [row for number, row in enumerate(ROWS) if sum(map(len, LINES[: number + 1])) <= cut]
    with AppendedLines(path) as lines:
        assert lines.rows == kept
        lines.append({"id": "new"})
    assert [line.row for line in whole_lines(path)] == [*kept, {"id": "new"}]


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert list(whole_lines(path)) == []
    path.write_bytes(LINES[0] + LINES[1][:5])
    (first,) = whole_lines(path)
    path.write_bytes(b"".join(LINES))
    assert [line.row for line in whole_lines(path, first.end)] == ROWS[1:]


def test_what_is_no_json_is_named_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINES[0] + b"oops\n")
    with pytest.raises(ValueError, match=rf"rows\.jsonl, byte {len(LINES[0])}: "):
        list(whole_lines(path))
