"""Does the judge judge, here and now? Programs of known verdict, in each format's languages, in both modes.

One line each, with its verdict, or `strict`'s and `fixed`'s where they differ.
Run it before a long evaluation is trusted. Not covered: what `_UNTRIED` says, HumanEval and MBPP, run as
LiveCodeBench does, calls, interactive problems and hostile programs (the test suite has those).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from eval.judge import interpreter
from eval.judge.extract import Format
from eval.judge.formats import FORMATS
from eval.judge.records import Judgement, Submission, Verdict
from eval.judge.run import judge
from eval.sandbox import accounting, require

_CPP = """#include <bits/stdc++.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {{ long long a, b; std::cin >> a >> b; {} }}
"""
_PYTHON = "a, b = map(int, input().split())\n{}\n"
_BODIES: dict[Verdict, tuple[str, str]] = {
    "AC": ("std::cout << a + b;", "print(a + b)"),
    "WA": ("std::cout << a - b;", "print(a - b)"),
    "TLE": ("for (volatile int i = 0;; i = i + 1);", "while True: pass"),
    "MLE": (
        "std::vector<char*> v; for (;;) { v.push_back(new char[1 << 24]); memset(v.back(), 1, 1 << 24); }",
        # At once: piece by piece it depends on the machine whether memory or address space ends first.
        "size = 1 << 31\nkept = b'x' * size",
    ),
    "OLE": ('for (;;) puts("and on and on and on and on");', "print('and on and on' * 7_000_000)"),
    "RTE": ("std::abort();", "print(1 // 0)"),
    "CE": ("this is no statement", "def :"),
}
# Under LiveCodeBench-Pro's address-space limit one process fails to allocate before it has too much.
_MLE_OF_A_TREE = (
    "for (int i = 0; i < 4; i++) if (!fork()) { std::vector<char> v(100 << 20, 1); sleep(1); _exit(v[9]); } "
    "while (wait(nullptr) > 0);"
)
_NO_CODE: dict[Format, Verdict] = {"lightcp": "NO_CODE", "dmoj": "CE", "lcb": "RTE"}
"""What an answer without a program is officially: OJBench compiles all of it, LiveCodeBench calls a function
without a body."""
_CONFINED: dict[tuple[Format, str, Verdict], Verdict] = {("dmoj", "python", "MLE"): "RTE"}
"""Where address space ends, officially, before memory does: Python raises a MemoryError."""
_UNTRIED = {
    (
        "lcb",
        "MLE",
    ): "the benchmark limits no memory, and the 4 GiB that protect this machine may be all it has"
}
_CHECKER = """#include "testlib.h"
int main(int argc, char* argv[]) {
    registerTestlibCmd(argc, argv);
    quitf(ouf.readLong() == ans.readLong() ? _ok : _wa, "compared");
}
"""
_CASES = ((40, 2),)


def self_test(workers: int | None = None) -> bool:
    """Judge them, print what came of each, and say whether all was as it must be. Raises `ValueError` as
    `judge` does."""
    require()
    click.echo(f"sandbox: ready, memory accounted by {accounting()}")
    click.echo(f"lcb: {interpreter.described()}")
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        formats: tuple[tuple[Format, Path], ...] = (
            ("lightcp", _write_lightcp(Path(folder, "lightcp"))),
            ("dmoj", _write_dmoj(Path(folder, "dmoj"))),
            ("lcb", _write_lcb(Path(folder, "lcb"))),
        )
        for format, problems in formats:
            known = list(_submissions(format))
            todo = [submission for submission, *_ in known]
            judged = judge(todo, format=format, problems=problems, workers=workers, mode="both")
            for (submission, *expected), judgement in zip(known, judged, strict=True):
                trouble = _trouble(judgement, *expected)
                sound &= not trouble
                tool = Path(FORMATS[format].languages[submission.language].tool).name
                verdicts = "/".join(dict.fromkeys(expected))
                click.echo(f"{format:8} {tool:8} {verdicts:10} {trouble or 'ok'}")
    for (where, verdict), why in _UNTRIED.items():
        click.echo(f"{where:8} {'':8} {verdict:10} not tried: {why}")
    click.echo("the judge can be trusted here" if sound else "do NOT trust verdicts from this machine")
    return sound


def _trouble(judgement: Judgement, strict: Verdict, fixed: Verdict) -> str:
    """What is wrong with it; nothing if nothing is."""
    assert judgement.fixed is not None, "both modes were asked for"
    modes = (("strict", strict, judgement), ("fixed", fixed, judgement.fixed))
    return "; ".join(
        f"WRONG, {mode}: {one.verdict} {one.detail}".strip()
        for mode, wanted, one in modes
        if one.verdict != wanted
    )


def _submissions(format: Format) -> Iterator[tuple[Submission, Verdict, Verdict]]:
    """Each with its verdict in mode `strict` and in mode `fixed`."""
    for verdict, (cpp, python) in _BODIES.items():
        if (format, verdict) in _UNTRIED:
            continue
        if (format, verdict) == ("lightcp", "MLE"):
            cpp = _MLE_OF_A_TREE
        code = {"cpp": _CPP.format(cpp), "python": _PYTHON.format(python)}
        for language in FORMATS[format].languages:
            strict = _CONFINED.get((format, language, verdict), verdict)
            yield Submission("sum", language, code=code[language]), strict, verdict
    for language in FORMATS[format].languages:
        yield Submission("sum", language, response="no program here"), _NO_CODE[format], "NO_CODE"


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
