"""Problems from tables: any text is taken as it is, and a row without a prompt is counted with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hostile_text import hostile_text
from hypothesis import given
from jobs import job_at

from tessy.artifacts import read_json, read_parquet
from tessy.bench.servers import read_problems
from tessy.config.execution import Execution
from tessy.config.problems import Problems
from tessy.errors import UserError
from tessy.layout import LEFT_OUT, PROBLEMS
from tessy.records import Problem
from tessy.runtime.job import Job
from tessy.stages.problems import ProblemsStage, run

GOOD = '{"id": 1, "prompt": "one"}'


def written(folder: Path, *rows: bytes) -> Path:
    path = folder / "problems.jsonl"
    path.write_bytes(b"\n".join([GOOD.encode(), *rows, b""]))
    return path


def ran(folder: Path, path: Path, **fields: Any) -> Job[ProblemsStage]:
    (folder / "run").mkdir(exist_ok=True)
    config = ProblemsStage(problems=Problems(source=str(path), **fields))
    job = job_at(folder / "run", "problems", config)
    run(job)
    return job


def read(job: Job[ProblemsStage]) -> list[tuple[str, str]]:
    return [(one.problem_id, one.prompt) for one in read_parquet(job.out / PROBLEMS, Problem)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("problems")


@given(text=hostile_text.map("x".__add__))
def test_whatever_text_a_prompt_is_it_is_read_as_it_stands(folder: Path, text: str) -> None:
    row = json.dumps({"id": "x", "prompt": text}, ensure_ascii=False)
    path = written(folder, row.encode())
    assert read_problems(path) == [("1", "one"), ("x", text)]


@pytest.mark.parametrize(
    ("row", "rule", "detail"),
    [
        (b'{"id": 2, "prompt": "so \\ud83d"}', "not UTF-8", "`prompt` at character 3"),
        (b'{"id": 2, "prompt": "so \xff"}', "not UTF-8", "byte 24 of the line"),
        (b'{"id": 2, "prompt": " "}', "empty prompt", ""),
        (b'{"id": 2}', "empty prompt", ""),
        (b'{"id": 2, "prompt": [2]}', "prompt is no text", "it is list"),
        (b"[2]", "not an object", "list where an object is needed"),
        (b"{", "not JSON", "Expecting property name"),
    ],
)
def test_a_row_that_is_no_problem_is_counted_and_the_others_are_used(
    tmp_path: Path, row: bytes, rule: str, detail: str
) -> None:
    path = written(tmp_path, row, b'{"id": 3, "prompt": "three"}')
    job = ran(tmp_path, path)
    assert read(job) == [("1", "one"), ("3", "three")]
    kept = read_json(job.out / LEFT_OUT)
    assert kept["counts"] == {rule: 1}
    assert kept["examples"][rule][0].startswith(f"problems.jsonl:2: {detail}".removesuffix(": "))
    with pytest.raises(UserError, match=rf"problems\.jsonl: 1 rows left out, {rule}"):
        read_problems(path)


def test_where_no_row_can_be_used_the_reasons_are_said(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": 1, "prompt": ""}\n')
    with pytest.raises(UserError, match="no row can be used; 1 rows left out, empty prompt"):
        ran(tmp_path, path)


def test_a_row_without_an_id_is_called_by_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"prompt": "two"}')
    assert read(ran(tmp_path, path)) == [("1", "one"), ("problems.jsonl:2", "two")]
    assert read(ran(tmp_path, path, limit=1)) == [("1", "one")]


def test_what_is_wrong_with_a_table_is_known_before_anything_runs(tmp_path: Path) -> None:
    def faults(source: str) -> list[str]:
        return list(ProblemsStage(problems=Problems(source=source)).faults(Execution()))

    (tmp_path / "problems.parquet").write_bytes(b"id,prompt")
    (tmp_path / "other.jsonl").write_text('{"x": 1}\n')
    assert faults(str(written(tmp_path))) == faults("miniature") == faults("owner/on-the-hub") == []
    assert "no such file or folder" in faults("./nowhere.jsonl")[0]
    assert "problems.parquet: cannot be read" in faults(str(tmp_path / "problems.parquet"))[0]
    assert "no column looks like prompts" in faults(str(tmp_path / "other.jsonl"))[0]
