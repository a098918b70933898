"""Small benchmarks in the official layouts, for tests; every problem asks to double a number."""

from __future__ import annotations

import base64
import json
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CPP = '#include <cstdio>\nint main() { int x; scanf("%d", &x); printf("%d\\n", 2 * x); }\n'
PYTHON = "print(2 * int(input()))\n"
CHECKER = '#include "testlib.h"\nint main(int n, char** v) {\n  registerTestlibCmd(n, v);\n' + (
    '  if (ouf.readInt() != ans.readInt()) quitf(_wa, "no");\n  quitf(_ok, "yes");\n}\n'
)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ojbench(root: Path, cases: int = 8) -> Path:
    """Problems `a` (ICPC) and 7 (NOI), each in both languages, and `swerc2023_L`, which is never judged."""
    rows = [
        {
            "id": name,
            "prompt": f"Double it ({name}).",
            "dataset": kind,
            "language": language,
            "difficulty": hard,
        }
        for name, kind, hard in (("a", "ICPC", "easy"), (7, "NOI", "hard"), ("swerc2023_L", "ICPC", "hard"))
        for language in ("cpp", "python")
    ]
    write_jsonl(root / "prompts" / "full.jsonl", rows)
    for folder in (root / "ICPC" / "a", root / "NOI" / "loj-7"):
        folder.mkdir(parents=True)
        listed = "".join(f"  - {{in: {n}.in, out: {n}.out}}\n" for n in range(1, cases + 1))
        (folder / "init.yml").write_text(f"archive: cases.zip\ntest_cases:\n{listed}")
        with zipfile.ZipFile(folder / "cases.zip", "w") as archive:
            for n in range(1, cases + 1):
                archive.writestr(f"{n}.in", f"{n}\n")
                archive.writestr(f"{n}.out", f"{2 * n}\n")
    return root


def pro_statement(problem_id: str, difficulty: str = "easy") -> dict[str, str]:
    return {
        "problem_id": problem_id,
        "problem_title": problem_id,
        "difficulty": difficulty,
        "platform": "codeforces",
        "problem_statement": f"Double it ({problem_id}).",
    }


def pro_zips(root: Path, names: Iterable[str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    config = "type: default\nchecker: checker.cpp\nsubtasks:\n  - n_cases: 2\n"
    for name in names:
        with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
            archive.writestr("config.yaml", config)
            archive.writestr("checker.cpp", CHECKER)
            for n in (1, 2):
                archive.writestr(f"testdata/{n}.in", f"{n}\n")
                archive.writestr(f"testdata/{n}.ans", f"{2 * n}\n")
    return root


def lcb_row(question_id: str, day: str, *, functional: bool = False) -> dict[str, Any]:
    """A row of LiveCodeBench: public tests as JSON, private ones as it hides them."""
    kind = "functional" if functional else "stdin"
    tests = [{"input": str(n), "output": str(2 * n), "testtype": kind} for n in (1, 2, 3)]
    hidden = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests[1:])))).decode()
    starter = "class Solution:\n    def double(self, x: int) -> int:\n        " if functional else ""
    return {
        "question_title": question_id,
        "question_content": f"Double it ({question_id}).",
        "platform": "leetcode" if functional else "atcoder",
        "question_id": question_id,
        "contest_id": question_id.partition("_")[0],
        "contest_date": f"{day}T00:00:00",
        "starter_code": starter,
        "difficulty": "hard" if functional else "easy",
        "public_test_cases": json.dumps(tests[:1]),
        "private_test_cases": hidden,
        "metadata": json.dumps({"func_name": "double"} if functional else {}),
    }


def livecodebench(root: Path) -> Path:
    """Five files, of which the fifth is the tag v5; `abc350_c` is in the errata."""
    for number, rows in enumerate(
        (
            [lcb_row("abc300_a", "2023-05-01")],
            [lcb_row("abc350_c", "2024-08-03")],
            [],
            [],
            [lcb_row("abc380_a", "2024-11-02"), lcb_row("3600", "2025-01-05", functional=True)],
        ),
        start=1,
    ):
        write_jsonl(root / f"test{number if number > 1 else ''}.jsonl", rows)
    return root
