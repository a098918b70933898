"""Tables that others made: every row comes in, or is counted with its place and the rule that it broke."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_text import hostile_text
from hypothesis import given
from hypothesis import strategies as st

from tessy.config.sources import Columns, Source
from tessy.errors import UserError
from tessy.sources import Exchange, LeftOut, Unfit, exchange_of, layout_of, open_table, prompt_of

DIALOGS = {"id_ddm": 7, "dialogs": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
"""A row of the authors' sets."""
SHAREGPT = {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_gz(path: Path, rows: Sequence[Any]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def write_zst(path: Path, rows: Sequence[Any]) -> None:
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in rows).encode())


def write_array(path: Path, rows: Sequence[Any]) -> None:
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")


def write_parquet(path: Path, rows: Sequence[Any]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def write_csv(path: Path, rows: Sequence[Any]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


WRITERS: dict[str, Callable[[Path, Sequence[Any]], None]] = {
    "a.jsonl": write_lines,
    "b.jsonl.gz": write_gz,
    "c.jsonl.zst": write_zst,
    "d.json": write_array,
    "e.json": write_lines,
    "f.parquet": write_parquet,
    "g.csv": write_csv,
}


def read(path: Path, left_out: LeftOut | None = None, **fields: Any) -> list[tuple[dict[str, Any], str]]:
    table = open_table(Source(source=str(path), **fields), "problems")
    return [(dict(values), origin) for values, origin in table.rows(left_out or LeftOut())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_rows_that_were_written(tmp_path: Path, name: str) -> None:
    rows = [{"id": str(n), "prompt": f'line\nbreak, "quote" ü {n}'} for n in range(300)]
    WRITERS[name](tmp_path / name, rows)
    assert read(tmp_path / name) == [(row, f"{name}:{n}") for n, row in enumerate(rows, start=1)]
    assert len(read(tmp_path / name, limit=7)) == 7


def test_a_folder_is_all_of_its_tables_in_order(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        (tmp_path / "deep" / name).parent.mkdir(exist_ok=True)
        write(tmp_path / "deep" / name, [{"id": name}])
    (tmp_path / "README.md").write_text("no table")
    (tmp_path / ".cache").mkdir()
    write_lines(tmp_path / ".cache" / "a.jsonl", [{"id": "hidden"}])
    assert [values["id"] for values, _ in read(tmp_path)] == list(WRITERS)


@given(texts=st.lists(hostile_text.map("x".__add__), min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["a.jsonl", "d.json", "g.csv"])
def test_any_text_comes_in_as_it_was_written(folder: Path, name: str, texts: list[str]) -> None:
    rows = [{"prompt": text} for text in texts]
    WRITERS[name](folder / name, rows)
    assert [values for values, _ in read(folder / name)] == rows


def test_a_long_row_of_an_array_is_read_over_many_buffers(tmp_path: Path) -> None:
    rows = [{"prompt": letter * (3 << 20)} for letter in "ab"]
    write_array(tmp_path / "long.json", rows)
    assert [values for values, _ in read(tmp_path / "long.json")] == rows


BROKEN: dict[str, tuple[bytes, str, str]] = {
    "cut.jsonl": (b'{"id": 1}\n{"id": 2, "pro\n{"id": 3}\n', "not JSON", "cut.jsonl:2"),
    "deep.jsonl": (b'{"id": 1}\n' + b"[" * 100_000 + b'\n{"id": 3}\n', "not JSON", "deep.jsonl:2"),
    "digits.jsonl": (b'{"id": 1}\n{"id": ' + b"9" * 5000 + b'}\n{"id": 3}\n', "not JSON", "digits.jsonl:2"),
    "list.jsonl": (b'{"id": 1}\n[2]\n{"id": 3}\n', "not an object", "list.jsonl:2"),
    "latin.jsonl": (b'{"id": 1}\n{"id": "\xff"}\n{"id": 3}\n', "not UTF-8", "latin.jsonl:2"),
    "list.json": (b'[{"id": 1}, [2], {"id": 3}]', "not an object", "list.json:2"),
    "wide.csv": (b"id\n1\n2,2\n3\n", "cells do not fit the header", "wide.csv:2"),
    "latin.csv": (b"id\n1\n\xff\n3\n", "not UTF-8", "latin.csv:2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_that_cannot_be_read_takes_no_other_with_it(tmp_path: Path, name: str) -> None:
    content, rule, place = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    left_out = LeftOut()
    assert [str(values["id"]) for values, _ in read(tmp_path / name, left_out)] == ["1", "3"]
    assert left_out.counts == {rule: 1}
    assert left_out.examples[rule][0].startswith(place)
    twice = LeftOut()
    twice.add_all(json.loads(json.dumps(left_out.values())))
    assert twice.values() == left_out.values()


def test_a_cell_of_parquet_that_is_no_text_takes_no_other_row_with_it(tmp_path: Path) -> None:
    cells = pa.array([b"1", b"\xff", b"3"]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"id": cells}), tmp_path / "latin.parquet")
    left_out = LeftOut()
    assert [values["id"] for values, _ in read(tmp_path / "latin.parquet", left_out)] == ["1", "3"]
    assert left_out.examples == {"not UTF-8": ["latin.parquet:2: byte 0 of a cell"]}


@pytest.mark.parametrize("name", ["b.jsonl.gz", "c.jsonl.zst", "f.parquet", "d.json"])
def test_half_a_file_is_named_and_not_used(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"id": str(n)} for n in range(1000)])
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=rf"{name}: cannot be read behind row \d+: .*fetch it again"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", WRITERS)
def test_how_many_rows_there_are_is_known_where_it_is_quickly_found_out(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"id": str(n)} for n in range(100)])
    table = open_table(Source(source=str(tmp_path / name)), "problems")
    assert table.count() == (100 if name[0] in "abcf" else None)
    limited = open_table(Source(source=str(tmp_path / name), limit=7), "problems")
    assert limited.count() == 7


def test_a_byte_order_mark_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json", "a.csv"):
        text = b"\xef\xbb\xbf" + (b"id\n1\n\n" if name == "a.csv" else b'\n{"id": 1}\n \n')
        (tmp_path / name).write_bytes(text)
        assert [str(values["id"]) for values, _ in read(tmp_path / name)] == ["1"]


@pytest.mark.parametrize(
    ("rows", "columns", "found"),
    [
        ([DIALOGS], {}, Exchange("Q", "A")),
        ([SHAREGPT], {}, Exchange("Q", "A")),
        ([SHAREGPT | {"system": "S"}], {}, Exchange("Q", "A", system="S")),
        ([{"messages": json.dumps(DIALOGS["dialogs"])}], {}, Exchange("Q", "A")),
        ([{"messages": {"role": ["user", "assistant"], "content": ["Q", "A"]}}], {}, Exchange("Q", "A")),
        ([{"question": "Q", "reasoning": "T", "answer": "A"}], {}, Exchange("Q", "A", "T")),
        ([{"Problem": "Q", "Solution": "A"}], {}, Exchange("Q", "A")),
        ([{"problem": "x", "q": "Q", "messages": [], "a": "A"}], {"prompt": "q", "response": "a"},
         Exchange("Q", "A")),
        ([{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
                        {"role": "assistant", "content": "A", "reasoning_content": "T"}]}], {},
         Exchange("Q", "A", "T", "S")),
        ([{"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]},
                        {"role": "assistant", "content": "A"}]}], {}, Exchange("Q", "A")),
    ],
)  # fmt: skip
def test_an_exchange_is_found_in_the_layouts_that_are_around(
    rows: list[dict[str, Any]], columns: dict[str, str], found: Exchange
) -> None:
    layout = layout_of(Columns(**columns), rows, "problems")
    assert exchange_of(rows[0], layout) == found
    assert prompt_of(rows[0], layout) == found.prompt


def turns(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "x"} for role in roles]


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        (turns("user"), "no response"),
        (turns("user", "user"), "no response"),
        (turns("assistant", "user"), "no prompt"),
        (turns("user", "assistant", "user", "assistant"), "more than one exchange"),
        (turns("user", "tool"), "a turn of an unknown role"),
        ([{"role": "user", "content": " "}, {"role": "assistant", "content": "A"}], "empty prompt"),
        ([{"role": "user", "content": "Q"}, {"role": "assistant", "content": None}], "empty response"),
        ([{"role": "user", "content": {"image": "x"}}], "content is no text"),
        ([{"role": "user", "content": "\ud83d"}], "not UTF-8"),
        ("[", "conversation is no list of turns"),
        (None, "conversation is no list of turns"),
        ({}, "conversation is no list of turns"),
        ([1], "conversation is no list of turns"),
    ],
)
def test_what_is_no_exchange_says_which_rule_it_breaks(found: Any, rule: str) -> None:
    layout = layout_of(Columns(), [{"messages": []}], "problems")
    with pytest.raises(Unfit) as raised:
        exchange_of({"messages": found}, layout)
    assert raised.value.rule == rule


def test_columns_that_are_not_there_are_named_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"columns.prompt 'promt': no such column; did you mean 'prompt'"):
        layout_of(Columns(prompt="promt"), [{"prompt": "Q"}], "problems")
    with pytest.raises(UserError, match="no column looks like prompts or conversations among x, y"):
        layout_of(Columns(), [{"x": 1, "y": 2}], "problems")


def test_what_was_guessed_is_said() -> None:
    assert layout_of(Columns(response="output"), [{"question": "", "output": ""}], "f").guessed == (
        "prompt is column 'question'",
    )


def test_where_there_is_no_table_the_remedy_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    for source, said in {
        "./nowhere.jsonl": "no such file or folder",
        str(tmp_path / "x.txt"): "a table ends in .jsonl",
        str(tmp_path): "no table in this folder",
    }.items():
        with pytest.raises(UserError, match=said):
            open_table(Source(source=source), "problems")
