"""A file of small programs for `tessy judge`, and what is to come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval.judge.selftest import _write_dmoj
from tessy.processes import python_module

KEPT = ".out.jsonl.*.partial/done-*.jsonl"
"""Where judgements are until all are there."""
PROGRAMS = {
    "AC": "print(sum(map(int, input().split())))",
    "WA": "print(0)",
    "RTE": "print(1 // 0)",
    "CE": "this is no program",
}


def asked(tmp_path: Path, count: int, out: str = "out.jsonl") -> list[str]:
    """The command that judges `count` programs, every fortieth of which is no submission."""
    problems, responses = tmp_path / "problems", tmp_path / "in.jsonl"
    if not problems.exists():
        _write_dmoj(problems)
        rows = [{"problem_id": "sum", "language": "python", "code": PROGRAMS[kind]} for kind in kinds(count)]
        odd = [{"number": n} if n % 40 == 39 else {"number": n, **row} for n, row in enumerate(rows)]
        responses.write_text("".join(json.dumps(row) + "\n" for row in odd))
    given = ["--format=dmoj", f"--problems={problems}", f"--responses={responses}", f"--out={tmp_path / out}"]
    return python_module("tessy.cli", "judge", *given, "--workers=1")


def kinds(count: int) -> list[str]:
    return [[*PROGRAMS][number % len(PROGRAMS)] for number in range(count)]


def expected(count: int) -> list[str]:
    return ["IE" if number % 40 == 39 else kind for number, kind in enumerate(kinds(count))]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [without_times(json.loads(line)) for line in path.read_text().splitlines()]


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    measured = ("cpu_s", "wall_s", "peak_mib")
    return row | {"tests": [{k: v for k, v in test.items() if k not in measured} for test in row["tests"]]}
