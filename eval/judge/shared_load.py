"""How a file of submissions is judged by one process and by several of the same command.

    python -m eval.judge.bench processes [SUBMISSIONS TESTS PROCESSES...]

Each is `tessy judge` with one worker, as it would be started on a machine of its own, and all write one file.
Half of the programs are C++, half Python; seconds include what the commands need to start.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from eval.judge.loads import _PROGRAMS, _cpu_s, _spent, _write_sums, timed
from tessy.processes import python_module, with_parent

PROBLEMS = 50
_PYTHON = {
    "right": "print(sum(map(int, input().split())))",
    "wrong": "print(sum(map(int, input().split())) + 1)",
    "crashes": "print(1 // 0)",
}
_KINDS = [("cpp", kind) for kind in _PYTHON] + [("python", kind) for kind in _PYTHON]
_VERDICTS = {"right": "AC", "wrong": "WA", "crashes": "RTE"}


def processes(submissions: int = 3000, tests: int = 2, *counts: int) -> dict[str, Any]:
    """Seconds and submissions a second for each number of processes (by default one, and one for each core);
    how many rows are missing or have another verdict than expected, and how many were judged twice."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        expected = _write(root, submissions, tests)
        _judged(root, 1, expected[: len(_KINDS)], "first")  # fills the cache of what is compiled
        asked = counts or tuple(sorted({1, len(os.sched_getaffinity(0))}))
        found = {str(count): _judged(root, count, expected, "all") for count in asked}
    seconds = [one["seconds"] for one in found.values()]
    speed_up = {"speed_up": round(seconds[0] / seconds[-1], 2)} if len(seconds) > 1 else {}
    return {"submissions": submissions, "tests": tests, "processes": found, **speed_up}


def _write(root: Path, submissions: int, tests: int) -> list[str]:
    """Problems, and files of all submissions and of the first few; the verdict expected of each."""
    rng = random.Random(0)
    (root / "problems").mkdir()
    for number in range(PROBLEMS):
        _write_sums(root / "problems" / f"p{number}", tests, rng)
    kinds = [_KINDS[number % len(_KINDS)] for number in range(submissions)]
    programs = {"cpp": _PROGRAMS | {"crashes": "int main() { __builtin_trap(); }"}, "python": _PYTHON}
    rows = [
        {"problem_id": f"p{number % PROBLEMS}", "language": language, "code": programs[language][kind]}
        for number, (language, kind) in enumerate(kinds)
    ]
    lines = [json.dumps({"sample_id": number, **row}) + "\n" for number, row in enumerate(rows)]
    (root / "all.jsonl").write_text("".join(lines))
    (root / "first.jsonl").write_text("".join(lines[: len(_KINDS)]))
    return [_VERDICTS[kind] for _, kind in kinds]


def _judged(root: Path, count: int, expected: list[str], name: str) -> dict[str, Any]:
    out = root / f"{name}-{count}.jsonl"
    given = [f"--problems={root / 'problems'}", f"--responses={root / name}.jsonl", f"--out={out}"]
    command = python_module("tessy.cli", "judge", "--format=dmoj", *given, "--workers=1")
    before = _spent()
    seconds, failed = timed(lambda: _ended(command, count, root / f"kept-{name}-{count}"))
    if failed:
        raise RuntimeError(f"{' '.join(command)}: {failed}")
    rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    journals = (root / f"kept-{name}-{count}").iterdir()
    judged = Counter(json.loads(line)["sample_id"] for file in journals for line in file.open("rb"))
    return {
        "seconds": round(seconds, 1),
        "submissions_per_s": round(len(rows) / seconds, 1),
        "cpu_s": _cpu_s(before),
        "missing": len(expected) - len({row["sample_id"] for row in rows}),
        "other_verdicts": sum(row["verdict"] != expected[row["sample_id"]] for row in rows),
        "judged_twice": judged.total() - len(judged),
    }


def _ended(command: list[str], count: int, kept: Path) -> str:
    """Start the same command so often, and wait for all; what the first that failed said. Their journals,
    which they remove, are kept in a folder."""
    kept.mkdir()
    running = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=with_parent()) for _ in range(count)
    ]
    while any(one.poll() is None for one in running):
        for journal in kept.parent.glob(".*.partial/done-*.jsonl"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(journal, kept / journal.name)
        time.sleep(0.2)
    ended = [(one.communicate()[1], one.returncode) for one in running]
    return next((said for said, code in ended if code), "")
