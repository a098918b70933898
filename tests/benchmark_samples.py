"""Small benchmarks in the official layouts, for tests; every problem asks to double a number."""

from __future__ import annotations

from pathlib import Path

from tessy.standins.benchmarks import CHECKER, dmoj_tests, lcb_row, pro_statement, pro_zips, write_jsonl

__all__ = ["CHECKER", "lcb_row", "pro_statement", "pro_zips", "write_jsonl"]
CPP = '#include <cstdio>\nint main() { int x; scanf("%d", &x); printf("%d\\n", 2 * x); }\n'
PYTHON = "print(2 * int(input()))\n"


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
        dmoj_tests(folder, cases)
    return root


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
