"""`tessy bench curation`: the figures of the READMEs come from these commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from predictor_model import make_predictor

from tessy.bench.curation.command import curation_command
from tessy.errors import UserError


def measured(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(curation_command, ["volume", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_planted_copies_and_leaks_are_found_and_counted_with_their_cost(tmp_path: Path) -> None:
    found = measured("--rows", "400", "--statements", "20", "--processes", "2", "--folder", str(tmp_path))
    assert found["rows"] == 400
    assert found["recall"]["copies"]["exact"] == 1
    assert set(found["recall"]["leaks"].values()) <= {1.0}
    assert (found["joined_pairs_of_different_problems"], found["rows_wrongly_taken_for_leaks"]) == (0, 0)
    assert set(found["memory_mib"]) == {"main", "each worker", "all, proportional"}
    assert all(memory > 10 for memory in found["memory_mib"].values())
    assert all(set(one) == {"clock", "processor"} for one in found["seconds"].values())


def test_arrays_alone_can_be_measured(tmp_path: Path) -> None:
    found = measured("--rows", "5000", "--arrays", "--folder", str(tmp_path))
    assert found["copies"] > 500
    assert found["copies_found"] >= 0.99 * found["copies"]
    assert list(found["seconds"]) == ["clusters", "what stays, held-out split"]


def test_an_interpreter_without_datatrove_is_named(tmp_path: Path) -> None:
    given = ("--rows", "20", "--statements", "2", "--processes", "1", "--folder", str(tmp_path))
    for python, said in (
        (sys.executable, "No module named 'datatrove'; it needs"),
        ("/no/python", "No such"),
    ):
        with pytest.raises(UserError, match=f"--datatrove-python {python}: .*{said}"):
            measured(*given, "--datatrove-python", python)


@pytest.mark.slow
def test_vectors_have_a_curve_of_their_own(tmp_path: Path) -> None:
    model = str(make_predictor(tmp_path / "model"))
    given = [
        "quality",
        "--every",
        "60",
        "--near",
        "2",
        "--embedding",
        model,
        "--max-tokens",
        "64",
        "--pairs",
        "50",
    ]
    done = CliRunner().invoke(curation_command, given, catch_exceptions=False)
    lines = done.stdout.splitlines()
    assert "| exact | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in lines
    assert any(line.startswith("| invented pairs of one topic, of 50; the nearest ") for line in lines)
