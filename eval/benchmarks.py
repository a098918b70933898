"""Benchmarks scored by running programs: their problems, and which judge format decides.

Official layouts only: OJBench is a folder with `prompts/full.jsonl` beside the problems' DMOJ folders;
LiveCodeBench-Pro a folder of test zips with `statements.jsonl` in the dataset's own fields.

Not covered: loading from the hub.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tessy.errors import UserError
from tessy.records import Problem

JUDGE_FORMAT: Mapping[str, Literal["dmoj", "lightcp"]] = {"ojbench": "dmoj", "livecodebench_pro": "lightcp"}
STATEMENTS: Mapping[str, str] = {"ojbench": "prompts/full.jsonl", "livecodebench_pro": "statements.jsonl"}


def load_problems(kind: str, folder: Path, instruction: str = "") -> list[Problem]:
    """The problems of a benchmark folder, in file order; raises `UserError` naming file and line."""
    path = folder / STATEMENTS[kind]
    if not path.is_file():
        raise UserError(
            f"benchmark {folder}: {STATEMENTS[kind]} is missing; a {kind} folder needs it beside its tests"
        )
    make = _ojbench if kind == "ojbench" else _livecodebench_pro
    problems = [make(row, instruction) for row in _rows(path)]
    if not problems:
        raise UserError(f"{path}: no problems in it")
    return problems


def check(kind: str, folder: Path, name: str) -> None:
    """Raise `UserError` unless every problem of the benchmark `name` has its tests."""
    from eval.judge import check_problems

    wanted = {problem.problem_id for problem in load_problems(kind, folder)}
    try:
        check_problems(JUDGE_FORMAT[kind], folder, wanted)
    except ValueError as error:
        raise UserError(f"benchmark {name}: {error}") from None


def _ojbench(row: Mapping[str, Any], instruction: str) -> Problem:
    # NOI ids are numbers and their folders `loj-<id>`; the same problem is asked in two languages.
    judged = f"loj-{row['id']}" if isinstance(row["id"], int) else str(row["id"])
    tags = {"difficulty": row["difficulty"], "dataset": row["dataset"]}
    return Problem(judged, instruction + row["prompt"], row["language"], tags)


def _livecodebench_pro(row: Mapping[str, Any], instruction: str) -> Problem:
    tags = {"difficulty": row["difficulty"], "platform": row["platform"]}
    return Problem(row["problem_id"], instruction + row["problem_statement"], "cpp", tags)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    needed = {"full.jsonl": ("id", "prompt", "dataset", "language", "difficulty")}.get(
        path.name, ("problem_id", "difficulty", "platform", "problem_statement")
    )
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: not JSON: {error}") from None
        missing = [field for field in needed if field not in row]
        if missing:
            raise UserError(
                f"{path}, line {number}: no {', '.join(missing)}; each row needs {', '.join(needed)}"
            )
        yield row
