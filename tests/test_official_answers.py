"""Mathematical answers beside OlympiadBench's own scorer, pair by pair.

`judge/official/answers/rows.jsonl` has pairs of our own making and what `eval/auto_scoring_judge.py` of
OpenBMB/OlympiadBench at ba5b26a (with SymPy 1.14 and antlr4 4.11, default tolerance) decided. A `reason` says
why a decision is mathematically wrong; there we decide the other way. `python -m tests.official_answers`
makes the decisions anew.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from eval.equality import equal
from tests.official_answers import read

ROWS = read()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['given']} | {row['expected']}")
def test_an_answer_counts_as_officially_or_as_the_reason_says(row: dict[str, Any]) -> None:
    assert equal(row["given"], row["expected"]) is (
        not row["official"] if "reason" in row else row["official"]
    )


def test_how_often_the_official_scorer_is_followed() -> None:
    rows, followed = Counter(row["kind"] for row in ROWS), Counter()
    followed.update(row["kind"] for row in ROWS if "reason" not in row)
    for kind, number in rows.items():
        print(f"{kind}: {followed[kind]} of {number}")
    equal_officially = [row for row in ROWS if row["official"]]
    assert sum("reason" not in row for row in equal_officially) > 0.95 * len(equal_officially)
    assert sum(followed.values()) > 0.6 * len(ROWS)
