"""Steps of an engine, summed up: kinds are told apart, and what each begun request adds is found again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tessy.bench.steps import between, read_steps, summary
from tessy.engines.enginecore import Step


def steps(count: int) -> list[Step]:
    """Steps of 8 ms and 2 ms more for each request that begins; one in fifty waits for something else."""
    rng = random.Random(0)
    many = []
    for n in range(count):
        begun = rng.choice([0, 0, 1, 2, 3, 5, 9])
        ms = 8 + 2 * begun + rng.uniform(-0.1, 0.1) + (200 if n % 50 == 49 else 0)
        many.append(Step(n / 100, ms, 0.5, 0.3, 48, begun, 48 + 25 * begun, "FULL" if begun < 5 else "NONE"))
    return many


def test_what_a_begun_request_adds_is_found_again() -> None:
    found = summary(steps(400))
    assert found["ms_without"] == pytest.approx(8, abs=0.1)
    assert found["ms_per_begun"] == pytest.approx(2, abs=0.05)
    assert list(found["by_begun"]) == ["0", "1", "2", "4", "8"]
    assert found["by_begun"]["0"]["ms"] == pytest.approx(8, abs=0.1)
    assert found["by_begun"]["8"]["graphs"].keys() == {"NONE"}
    assert sum(kind["steps"] for kind in found["by_begun"].values()) == 400


def test_few_steps_and_steps_alike_have_no_line() -> None:
    assert "ms_without" not in summary(steps(10))
    alike = summary([Step(n, 8.0, 1.0, 1.0, 4, 0, 4) for n in range(100)])
    assert "ms_per_begun" not in alike
    assert "graphs" not in alike["by_begun"]["0"]


def test_records_are_read_by_model_and_time(tmp_path: Path) -> None:
    for name, count in (("student-17", 30), ("student-18", 20), ("teacher-2-19", 10)):
        lines = "".join(json.dumps(step) + "\n" for step in steps(count))
        (tmp_path / f"{name}.jsonl").write_text(lines)
    found = read_steps(tmp_path)
    assert {name: len(many) for name, many in found.items()} == {"student": 50, "teacher-2": 10}
    assert between(found, 0.1, 0.2)["student"]["steps"] == 21
    assert between(found, 0.15, 0.2).keys() == {"student"}
