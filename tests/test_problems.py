"""Problems from files: any text is taken as it is, and what is no text is named with its row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hostile_text import hostile_text
from hypothesis import given

from tessy.bench.servers import read_problems
from tessy.errors import UserError
from tessy.stages.problems import read_file

GOOD = '{"id": 1, "prompt": "one"}'


def written(folder: Path, *rows: bytes) -> Path:
    path = folder / "problems.jsonl"
    path.write_bytes(b"\n".join([GOOD.encode(), *rows, b""]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("problems")


@given(text=hostile_text.map("x".__add__))
def test_whatever_text_a_prompt_is_it_is_read_as_it_stands(folder: Path, text: str) -> None:
    row = json.dumps({"id": text, "prompt": text}, ensure_ascii=False)
    path = written(folder, row.encode())
    assert [(problem.problem_id, problem.prompt) for problem in read_file(path)] == [
        ("1", "one"),
        (text, text),
    ]
    assert read_problems(path) == [("1", "one"), (text, text)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b'{"id": 2, "prompt": "so \\ud83d"}', "row 2: `prompt` is no UTF-8 text at character 3"),
        (b'{"id": 2, "prompt": "so \xff"}', "row 2: `prompt` is no UTF-8 text at character 3"),
        (b'{"id": 2, "prompt": " "}', "row 2: `prompt` is ' '; it must be text that is not empty"),
        (b'{"id": 2}', "row 2: `prompt` is None"),
        (b"[2]", "row 2: list where an object is needed"),
        (b"{", "row 2: not JSON"),
    ],
)
def test_what_is_no_problem_is_named_with_its_row(tmp_path: Path, row: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list(read_file(written(tmp_path, row)))


@pytest.mark.parametrize(
    "row", [b'{"id": 2, "prompt": "\\ud83d"}', b'{"id": 2, "prompt": "\xff"}', b'{"id": 2}']
)
def test_the_bench_names_it_as_well(tmp_path: Path, row: bytes) -> None:
    with pytest.raises(UserError, match=r"problems\.jsonl"):
        read_problems(written(tmp_path, row))


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "problems.parquet").write_bytes(b"id,prompt")
    with pytest.raises(UserError, match=r"problems\.parquet: cannot be read"):
        list(read_file(tmp_path / "problems.parquet"))


def test_blank_lines_and_a_byte_order_mark_are_no_rows(folder: Path) -> None:
    path = folder / "problems.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\n\n  \n")
    assert [problem.problem_id for problem in read_file(path)] == ["1"]


@pytest.mark.parametrize("row", [b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}", b'{"id": 2}'])
def test_a_row_that_cannot_be_read_is_named(folder: Path, row: bytes) -> None:
    with pytest.raises(UserError, match="row 2: "):
        list(read_file(written(folder, row)))
