"""Does the judge judge, here and now? Programs of known verdict, in every language, to every verdict.

Run it before a long evaluation is trusted. Not covered: hostile programs (the test suite has those).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from eval.judge.extract import Format
from eval.judge.records import Submission, Verdict
from eval.judge.run import judge
from eval.sandbox import accounting, require

_CPP = "#include <bits/stdc++.h>\nint main() {{ long long a, b; std::cin >> a >> b; {} }}\n"
_PYTHON = "a, b = map(int, input().split())\n{}\n"
_BODIES: dict[Verdict, tuple[str, str]] = {
    "AC": ("std::cout << a + b;", "print(a + b)"),
    "WA": ("std::cout << a - b;", "print(a - b)"),
    "TLE": ("for (volatile int i = 0;; i = i + 1);", "while True: pass"),
    "MLE": (
        "std::vector<char*> v; for (;;) { v.push_back(new char[1 << 24]); memset(v.back(), 1, 1 << 24); }",
        "kept = [bytearray(1 << 24) for _ in range(200)]",
    ),
    "OLE": ('for (;;) puts("and on and on and on and on");', "while True: print('and on and on' * 1000)"),
    "RTE": ("std::abort();", "print(1 // 0)"),
    "CE": ("this is no statement", "def :"),
}
_CHECKER = """#include "testlib.h"
int main(int argc, char* argv[]) {
    registerTestlibCmd(argc, argv);
    quitf(ouf.readLong() == ans.readLong() ? _ok : _wa, "compared");
}
"""
_CASES = ((40, 2),)


def self_test(workers: int | None = None) -> bool:
    """Judge them, print what differs, and say whether nothing did. Raises `ValueError` as `judge` does."""
    require()
    click.echo(f"sandbox: ready, memory accounted by {accounting()}")
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        formats: tuple[tuple[Format, Path], ...] = (
            ("lightcp", _write_lightcp(Path(folder, "lightcp"))),
            ("dmoj", _write_dmoj(Path(folder, "dmoj"))),
            ("lcb", _write_lcb(Path(folder, "lcb"))),
        )
        for format, problems in formats:
            known = list(_submissions(format))
            judged = judge([s for s, _ in known], format=format, problems=problems, workers=workers)
            for (submission, expected), judgement in zip(known, judged, strict=True):
                right = judgement.verdict == expected
                sound &= right
                words = f"{format:8} {submission.language:7} {expected:4} {'ok' if right else 'WRONG'}"
                click.echo(words if right else f"{words}: {judgement.verdict} {judgement.detail}")
    click.echo("the judge can be trusted here" if sound else "do NOT trust verdicts from this machine")
    return sound


def _submissions(format: Format) -> Iterator[tuple[Submission, Verdict]]:
    for verdict, (cpp, python) in _BODIES.items():
        # Under LiveCodeBench-Pro's address-space limit a program fails to allocate before it has too much;
        # LiveCodeBench as such limits nothing but time.
        if format == "dmoj" or (format == "lightcp" and verdict != "MLE"):
            yield Submission("sum", "cpp", code=_CPP.format(cpp)), verdict
        if format == "dmoj" or (format == "lcb" and verdict not in ("MLE", "OLE")):
            yield Submission("sum", "python", code=_PYTHON.format(python)), verdict
    if format == "lightcp":
        yield Submission("sum", "cpp", response="no program here"), "NO_CODE"


def _write_dmoj(root: Path) -> Path:
    folder = root / "ICPC" / "sum"
    folder.mkdir(parents=True)
    lines = ["test_cases:"]
    for number, (a, b) in enumerate(_CASES, start=1):
        (folder / f"{number}.in").write_text(f"{a} {b}\n")
        (folder / f"{number}.out").write_text(f"{a + b}\n")
        lines.append(f"- {{in: {number}.in, out: {number}.out}}")
    (folder / "init.yml").write_text("\n".join(lines))
    return root


def _write_lightcp(root: Path) -> Path:
    tests = root / "sum" / "testdata"
    tests.mkdir(parents=True)
    for number, (a, b) in enumerate(_CASES, start=1):
        (tests / f"{number}.in").write_text(f"{a} {b}\n")
        (tests / f"{number}.ans").write_text(f"{a + b}\n")
    config = f"time_limit: 500ms\nmemory_limit: 256m\nsubtasks:\n- n_cases: {len(_CASES)}\n"
    (root / "sum" / "config.yaml").write_text(config)
    (root / "sum" / "chk.cc").write_text(_CHECKER)
    return root


def _write_lcb(root: Path) -> Path:
    root.mkdir()
    tests = [{"input": f"{a} {b}\n", "output": f"{a + b}\n", "testtype": "stdin"} for a, b in _CASES]
    row = {"question_id": "sum", "public_test_cases": json.dumps(tests), "private_test_cases": "[]"}
    (root / "test.jsonl").write_text(json.dumps(row) + "\n")
    return root
