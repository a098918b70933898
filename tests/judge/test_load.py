"""Five hundred judgings, four workers per core: every program gets its one verdict each time."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from eval.judge import Submission, judge
from eval.judge.extract import Format
from eval.judge.selftest import _write_lightcp

pytestmark = pytest.mark.slow

REPEATS = 20
CONFORMANCE = Path(__file__).with_name("conformance")
SUM = """#include <bits/stdc++.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {{ long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; {} }}"""
ANSWER = 'printf("%lld", a + b);'
BURN = f"while (clock() < {{}} * CLOCKS_PER_SEC); {ANSWER}"
CONFIG = "time_limit: {}\nmemory_limit: 64m\nsubtasks:\n- n_cases: 1\n"
HOG = "char* p = (char*)malloc(40 << 20); memset(p, 1, 40 << 20); sleep(9);"
PROGRAMS: dict[str, tuple[str, str]] = {
    "right": ("AC", ANSWER),
    "by streams": ("AC", "std::cout << a + b << std::endl;"),
    "just in time": ("AC", BURN.format(0.08)),
    "sleeps a little": ("AC", f"usleep(120000); {ANSWER}"),
    "wrong": ("WA", 'printf("%lld", a - b);'),
    "nothing": ("WA", ""),
    "too much": ("WA", ANSWER + 'puts(" 1");'),
    "just late": ("TLE", BURN.format(0.15)),
    "loops": ("TLE", "for (volatile int i = 0;; i = i + 1);"),
    "sleeps": ("TLE", "sleep(9);"),
    "burns in children": ("TLE", "for (int i = 0; i < 3; i++) if (!fork()) for (;;); while (wait(0) > 0);"),
    "crashes": ("RTE", "__builtin_trap();"),
    "exits": ("RTE", "return 3;"),
    "throws": ("RTE", "throw 1;"),
    "no room": ("RTE", "std::vector<char>(100 << 20);"),
}
"""Under a time limit of 0.1 s, so that hundreds take no longer than need be."""
ROOMY: dict[str, tuple[str, str]] = {
    "floods": (
        "MLE",  # what is written counts as memory
        "static char s[1 << 20]; for (;;) if (fwrite(s, 1, sizeof s, stderr) < sizeof s) return 0;",
    ),
    "in a child": ("AC", f"if (!fork()) {{ {ANSWER} return 0; }} wait(0);"),
    "memory in children": (
        "MLE",
        f"for (int i = 0; i < 3; i++) if (!fork()) {{ {HOG} }} while (wait(0) > 0);",
    ),
}
"""Under 2 s: what a parent's children wait for a CPU counts as its wall time, and a flood up to the cap may
cost a busy machine more than 0.1 s."""
OTHERS: dict[tuple[Format, str], dict[str, str]] = {
    ("dmoj", "standard"): {"exact.cpp": "AC", "exact.py": "AC", "first_right_second_wrong.py": "WA"},
    ("dmoj", "precedence"): {"wa_ir_rte.cpp": "WA"},
    ("dmoj", "endings"): {"right_but_exit_3.cpp": "RTE"},
    ("dmoj", "interactive"): {"right.cpp": "AC", "out_of_range.cpp": "WA"},
}


def test_a_small_contest_gets_the_same_verdicts_every_time(tmp_path: Path) -> None:
    problems = tmp_path / "problems"
    problems.mkdir()
    todo, expected = [], {}
    for problem, programs, limit in (("tight", PROGRAMS, "100ms"), ("roomy", ROOMY, "2s")):
        folder = _write_lightcp(tmp_path / problem) / "sum"
        (folder / "config.yaml").write_text(CONFIG.format(limit))
        folder.rename(problems / problem)
        for name, (verdict, body) in programs.items():
            todo.append(Submission(problem, "cpp", code=SUM.format(body), sample_id=name))
            expected[name] = {verdict}
    assert verdicts("lightcp", problems, todo) == expected


def test_other_judges_give_the_same_verdicts_every_time() -> None:
    todo, expected = [], {}
    for (_, problem), programs in OTHERS.items():
        for name, verdict in programs.items():
            code = (CONFORMANCE / "dmoj" / problem / "programs" / name).read_text()
            language = "cpp" if name.endswith(".cpp") else "python"
            todo.append(Submission(problem, language, code=code, sample_id=f"{problem}/{name}"))
            expected[f"{problem}/{name}"] = {verdict}
    assert (len(PROGRAMS) + len(ROOMY) + len(todo)) * REPEATS >= 500
    assert verdicts("dmoj", CONFORMANCE / "dmoj", todo) == expected


def verdicts(format: Format, problems: Path, todo: list[Submission]) -> dict[str, set[str]]:
    """Every verdict that each program ever got."""
    order = todo * REPEATS
    random.Random(0).shuffle(order)
    workers = 4 * len(os.sched_getaffinity(0))
    seen: dict[str, set[str]] = {one.sample_id: set() for one in todo}
    for judgement in judge(order, format=format, problems=problems, workers=workers):
        seen[judgement.sample_id].add(judgement.verdict)
    return seen
