"""Writes the contests in the formats of the benchmarks they stand for, so that the real loaders read them.

`write_ojbench` writes the Python half as OJBench does (DMOJ `init.yml` with a zip of cases, prompts in
`prompts/full.jsonl`); `write_livecodebench_pro` writes the C++ half as LiveCodeBench-Pro does (one zip
per problem with `config.yaml`, `testdata/` and a testlib `checker.cpp`, statements in a JSONL file);
`write_ood` writes the out-of-domain test for the lm-eval task `miniature_ood`.

Not covered: interactive problems, subtasks and special judges of DMOJ; no miniature problem has them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tessy.miniature.world import World, make_tests, ood_answer

_EPOCH = (1980, 1, 1, 0, 0, 0)

_CONFIG = """type: default
time_limit: 2s
memory_limit: 256m
checker: checker.cpp
subtasks:
  - score: 100
    n_cases: {cases}
"""

_CHECKER = """#include "testlib.h"

int main(int argc, char* argv[]) {
    registerTestlibCmd(argc, argv);
    int token = 0;
    while (!ans.seekEof()) {
        ++token;
        if (ouf.seekEof()) quitf(_wa, "token %d is missing", token);
        std::string expected = ans.readToken(), found = ouf.readToken();
        if (expected != found) quitf(_wa, "token %d differs", token);
    }
    if (!ouf.seekEof()) quitf(_wa, "more than %d tokens", token);
    quitf(_ok, "%d tokens", token);
}
"""


def write_ojbench(world: World, root: Path) -> None:
    """Write the Python contest: `root/ICPC/<id>/{init.yml,cases.zip}` and `root/prompts/full.jsonl`."""
    problems = world.contests["python"]
    for problem in problems:
        folder = root / "ICPC" / problem.problem_id
        folder.mkdir(parents=True)
        tests = make_tests(world, problem)
        _write_zip(folder / "cases.zip", _numbered(tests, ".out"))
        cases = "".join(f"  - {{in: {n}.in, out: {n}.out}}\n" for n in range(1, len(tests) + 1))
        (folder / "init.yml").write_text(f"archive: cases.zip\ntest_cases:\n{cases}")
    rows = [
        {
            "id": problem.problem_id,
            "prompt": problem.prompt,
            "dataset": "ICPC",
            "language": problem.language,
            "difficulty": _DIFFICULTY[problem.tags["knowledge"]],
        }
        for problem in problems
    ]
    _write_jsonl(root / "prompts" / "full.jsonl", rows)


def write_livecodebench_pro(world: World, root: Path) -> None:
    """Write the C++ contest: `root/<problem_id>.zip` for each problem and `root/statements.jsonl`."""
    problems = world.contests["cpp"]
    root.mkdir(parents=True, exist_ok=True)
    for problem in problems:
        tests = make_tests(world, problem)
        files = {f"testdata/{name}": text for name, text in _numbered(tests, ".ans").items()}
        files |= {"config.yaml": _CONFIG.format(cases=len(tests)), "checker.cpp": _CHECKER}
        _write_zip(root / f"{problem.problem_id}.zip", files)
    rows = [
        {
            "problem_id": problem.problem_id,
            "problem_title": problem.problem_id,
            "difficulty": _DIFFICULTY[problem.tags["knowledge"]],
            "platform": "miniature",
            "problem_statement": problem.prompt,
        }
        for problem in problems
    ]
    _write_jsonl(root / "statements.jsonl", rows)


def write_ood(world: World, file: Path) -> None:
    """Write the out-of-domain test: a JSON line with `prompt` and `answer` per problem."""
    _write_jsonl(file, [{"prompt": p.prompt, "answer": ood_answer(p)} for p in world.ood])


_DIFFICULTY: Mapping[str, str] = {"known": "easy", "new": "hard"}


def _numbered(tests: list[tuple[str, str]], suffix: str) -> dict[str, str]:
    inputs = {f"{n}.in": given for n, (given, _) in enumerate(tests, 1)}
    return inputs | {f"{n}{suffix}": expected for n, (_, expected) in enumerate(tests, 1)}


def _write_zip(file: Path, contents: Mapping[str, str]) -> None:
    """Write a zip whose bytes depend only on its contents: entries have a fixed date."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)


def _write_jsonl(file: Path, rows: Iterable[Mapping[str, str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
