"""`python -m tests.official_answers CHECKOUT`: what OlympiadBench's scorer decides on our pairs, anew.

CHECKOUT is the user's own copy of OpenBMB/OlympiadBench; its scorer needs `sympy` and
`antlr4-python3-runtime==4.11`. Rows whose decision has changed are printed. A pair that takes longer than
`PATIENCE_S` keeps its decision.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import signal
import sys
from pathlib import Path
from typing import Any

ROWS = Path(__file__).parent / "judge/official/answers/rows.jsonl"
SCORER = "eval/auto_scoring_judge.py"
PATIENCE_S = 20


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def scorer(checkout: Path) -> Any:
    """The official scorer's module; it prints what it cannot compute."""
    spec = importlib.util.spec_from_file_location("auto_scoring_judge", checkout / SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AutoScoringJudge()


def decided(judge: Any, row: dict[str, Any]) -> bool:
    signal.alarm(PATIENCE_S)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return bool(judge.judge(row["expected"], row["given"]))
    except TimeoutError:
        return bool(row["official"])
    finally:
        signal.alarm(0)


def _late(*_: object) -> None:
    raise TimeoutError


def main(checkout: Path) -> None:
    signal.signal(signal.SIGALRM, _late)
    judge, rows = scorer(checkout), read()
    for row in rows:
        now = decided(judge, row)
        if now != row["official"]:
            print(f"{row['given']} | {row['expected']}: {row['official']} -> {now}")
        row["official"] = now
    ROWS.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
