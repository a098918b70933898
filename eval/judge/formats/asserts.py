"""Test data of HumanEval(+) and MBPP(+): rows whose tests are Python statements that raise.

A file, or a folder of `.jsonl`, `.jsonl.gz` (HumanEval's own) or `.parquet` (EvalPlus' on the hub).
HumanEval's rows have a `prompt` that a submission completes, an `entry_point` and a `test` that defines
`check`; MBPP's have a `test`, or a `test_list` after `test_setup_code` or `test_imports`.

As officially, tests run in the submission's own process, which could pass by forging the answer; nothing
outside that process can tell. Not covered: EvalPlus' releases that hold inputs in place of tests.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.judge.records import MIB, Case, Checker, JudgeProblem, Mode, Place, Source, Stream

TIME_S, PLUS_TIME_S = 3.0, 30.0
"""For all tests of a problem: HumanEval's own default; EvalPlus has no such limit, but at least a second for
each of its hundreds of inputs."""
MEMORY = 4096 * MIB
PASSED = b"passed"
"""What the process says when no test raised (`eval.judge.harness.asserts`)."""
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


def find(root: Path) -> dict[str, Place]:
    """Task id to its row: `offset` is the row's number."""
    return {
        task_id(row): Place(path, len(str(row)), number)
        for path in files(root)
        for number, row in enumerate(_read(path, path.stat().st_mtime_ns))
        if not isinstance(row, str)
    }


def files(root: Path) -> list[Path]:
    found = [root] if root.is_file() else sorted(root.rglob("*"))
    return [path for path in found if path.name.endswith(SUFFIXES)]


def task_id(row: Mapping[str, Any]) -> str:
    return str(row["task_id"])


def rows(path: Path) -> list[Mapping[str, Any] | str]:
    """All rows of a file; of one that is none, or has no tests, what is wrong with it. Raises `ValueError`
    for a file that cannot be read at all."""
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(path: Path, version: int) -> list[Mapping[str, Any] | str]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path).to_pylist()
        return [_row(path, f"row {number}", row) for number, row in enumerate(table, start=1)]
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); download it again") from None
    return [
        _parsed(path, f"line {number}", line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]


def _parsed(path: Path, where: str, line: str) -> Mapping[str, Any] | str:
    try:
        return _row(path, where, json.loads(line))
    except (ValueError, RecursionError) as error:
        return f"{path}, {where}: not JSON ({error}); download it again"


def _row(path: Path, where: str, row: Any) -> Mapping[str, Any] | str:
    named = isinstance(row, dict) and isinstance(row.get("task_id"), str | int)
    if not named or not {"test", "test_list"} & {name for name in row if row[name] is not None}:
        return f"{path}, {where}: needs task_id and test, or test_list; download it again"
    known: Mapping[str, Any] = row
    return known


def load(problem_id: str, place: Place) -> JudgeProblem:
    """One problem with its single test, the statements."""
    row = rows(place.path)[place.offset]
    if isinstance(row, str):
        raise ValueError(row)
    test, answer = statements(row).encode(errors="replace"), PASSED
    case = Case(
        name="1",
        input=Stream("test", lambda: io.BytesIO(test)),
        answer=Stream("passed", lambda: io.BytesIO(answer)),
        time_s=_time_s(row),
        memory=MEMORY,
        output=MIB,
    )
    starter = (row["entry_point"], row["prompt"]) if "entry_point" in row else None
    return JudgeProblem(problem_id, (case,), Checker("identical"), starter=starter)


def _time_s(row: Mapping[str, Any]) -> float:
    # EvalPlus' tests list inputs and results.
    return PLUS_TIME_S if "results = " in str(row.get("test")) else TIME_S


def statements(row: Mapping[str, Any]) -> str:
    """The tests of a row, to be run after a solution."""
    if "entry_point" in row:
        return f"{row['test']}\ncheck({row['entry_point']})"
    if "test" in row:
        return str(row["test"])
    before = [row.get("test_setup_code") or "", *(row.get("test_imports") or ())]
    return "\n".join([*before, *row["test_list"]])


def source(problem: JudgeProblem, language: str, code: str, mode: Mode) -> Source:
    """The submission after what it completes: the whole prompt, or what stands before the function in it,
    where the submission defines that itself. Both modes run the same."""
    if problem.starter:
        function, prompt = problem.starter
        head = f"def {function}("
        code = (prompt.rpartition(head)[0] if head in code else prompt) + code
    return Source(
        language,
        {"main.py": code.encode(errors="replace")},
        ("asserts", str(problem.cases[0].time_s)),
        together=True,
    )
