"""One small problem of each benchmark, to double a number, in the layout in which the benchmark is published.

Not covered: what real problems look like.
"""

from __future__ import annotations

import base64
import json
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CHECKER = '#include "testlib.h"\nint main(int n, char** v) {\n  registerTestlibCmd(n, v);\n' + (
    '  if (ouf.readInt() != ans.readInt()) quitf(_wa, "no");\n  quitf(_ok, "yes");\n}\n'
)
_HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def double(x: int) -> int:\n    """Double it."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}
_MBPP = {
    "task_id": 11,
    "text": "Double it.",
    "prompt": "Double it.",
    "code": "def double(x):\n    return 2 * x\n",
    "test_list": ["assert double(2) == 4"],
    "test_setup_code": "",
    "test_imports": [],
    "challenge_test_list": [],
}
_CHOICES = {"Correct Answer": "4", **{f"Incorrect Answer {n}": str(n) for n in (1, 2, 3)}}
_OLYMPIAD = {"context": "", "unit": "", "error": "", "is_multiple_answer": False, "subject": "Math"}
TASKS: Mapping[str, Mapping[str, Any]] = {
    "tessy_aime2024": {"ID": "1", "Problem": "Double 2.", "Answer": 4},
    "tessy_aime2025": {"problem": "Double 2.", "answer": "4"},
    "tessy_gpqa_diamond": {"Question": "Double 2.", **_CHOICES},
    "tessy_gpqa_diamond_ours": {"Question": "Double 2.", **_CHOICES},
    **{
        f"tessy_olympiadbench_{subject}": _OLYMPIAD
        | {"question": "Double 2.", "final_answer": ["4"], "answer_type": "Numerical"}
        for subject in ("maths", "physics")
    },
}
"""A document of each of this project's lm-eval tasks."""


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def benchmark(kind: str, root: Path, day: str) -> Path:
    """A folder `root` in the layout of the code benchmark `kind`; `day` is the date of its contest."""
    match kind:
        case "ojbench":
            row = {"id": "a", "prompt": "Double it.", "dataset": "ICPC", "difficulty": "easy"}
            write_jsonl(
                root / "prompts" / "full.jsonl", [row | {"language": name} for name in ("cpp", "python")]
            )
            dmoj_tests(root / "ICPC" / "a", 2)
        case "livecodebench_pro":
            write_jsonl(root / "statements.jsonl", [pro_statement("a")])
            pro_zips(root, ["a"])
        case "livecodebench_v5" | "livecodebench_v6":
            last = int(kind[-1])
            for number in range(1, last + 1):
                name = f"test{number}.jsonl" if number > 1 else "test.jsonl"
                write_jsonl(root / name, [lcb_row("abc380_a", day)] if number == last else [])
        case "humaneval" | "humaneval_plus":
            write_jsonl(root / "test.jsonl", [_HUMANEVAL])
        case _:
            write_jsonl(root / "test.jsonl", [_MBPP | {"test": "assert double(2) == 4\n"}])
    return root


def _zip(path: Path, files: Mapping[str, str]) -> None:
    """The same bytes at any time: stages are named by those of their files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)


def dmoj_tests(folder: Path, cases: int) -> Path:
    """Test data of a DMOJ problem."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"  - {{in: {n}.in, out: {n}.out}}\n" for n in range(1, cases + 1))
    (folder / "init.yml").write_text(f"archive: cases.zip\ntest_cases:\n{listed}")
    tests = range(1, cases + 1)
    inputs, outputs = {f"{n}.in": f"{n}\n" for n in tests}, {f"{n}.out": f"{2 * n}\n" for n in tests}
    _zip(folder / "cases.zip", inputs | outputs)
    return folder


def pro_statement(problem_id: str, difficulty: str = "easy") -> dict[str, str]:
    """A row of LiveCodeBench-Pro."""
    return {
        "problem_id": problem_id,
        "problem_title": problem_id,
        "difficulty": difficulty,
        "platform": "codeforces",
        "problem_statement": f"Double it ({problem_id}).",
    }


def pro_zips(root: Path, names: Iterable[str]) -> Path:
    """Test data of LiveCodeBench-Pro."""
    root.mkdir(parents=True, exist_ok=True)
    config = "type: default\nchecker: checker.cpp\nsubtasks:\n  - n_cases: 2\n"
    files = {"config.yaml": config, "checker.cpp": CHECKER}
    for n in (1, 2):
        files |= {f"testdata/{n}.in": f"{n}\n", f"testdata/{n}.ans": f"{2 * n}\n"}
    for name in names:
        _zip(root / f"{name}.zip", files)
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
