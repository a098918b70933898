"""Fingerprints are stable and refuse what is not; artifacts are complete or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.artifacts import (
    PARTIAL,
    file_digest,
    fingerprint,
    finish,
    manifest_of,
    read_parquet,
    write_parquet,
    write_text,
)
from tessy.records import Problem, Span, Trajectory

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@given(VALUES)
def test_a_fingerprint_survives_a_round_trip_through_json(value: object) -> None:
    assert fingerprint(json.loads(json.dumps(value))) == fingerprint(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, {1, 2}, Path("x"), [object()]])
def test_what_has_no_stable_form_has_no_fingerprint(value: object) -> None:
    with pytest.raises(TypeError):
        fingerprint(value)


def test_an_artifact_exists_once_its_manifest_does(tmp_path: Path) -> None:
    partial = tmp_path / f"stage-abc{PARTIAL}"
    partial.mkdir()
    (partial / "data.txt").write_text("data")
    (partial / "metrics.jsonl").write_text("when and how fast")
    (partial / "student-server-0.log").write_text("what a server said")
    assert manifest_of(partial) is None
    final = finish(partial, {"stage": "stage"})
    assert final == tmp_path / "stage-abc"
    manifest = manifest_of(final)
    assert manifest is not None
    assert manifest["files"] == {"data.txt": {"sha256": file_digest(final / "data.txt"), "bytes": 4}}
    assert not partial.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_trajectories_survive_parquet(tmp_path: Path) -> None:
    span = Span("teacher", "capability", "x % 2 é漢\n", 4, "boundary")
    trajectory = Trajectory(
        sample_id="p#0",
        problem_id="p",
        method="tessy",
        prompt="?",
        messages=[{"role": "user", "content": "?"}],
        spans=[span],
        student_token_ids=[1, 2],
        prompt_tokens=1,
        stop_reason="finished",
        generated_tokens=5,
        rolled_back_tokens=1,
        seed=0,
        sampler={"temperature": 0.6},
        models={"student": "s", "teacher": "t"},
    )
    write_parquet(tmp_path / "t.parquet", [trajectory], "t", "A test.")
    assert list(read_parquet(tmp_path / "t.parquet", Trajectory)) == [trajectory]
    assert "1 rows" in (tmp_path / "README.md").read_text()


def test_problems_without_tags_survive_parquet(tmp_path: Path) -> None:
    problems = [Problem("a", "one"), Problem("b", "two", "cpp")]
    write_parquet(tmp_path / "p.parquet", problems, "p", "A test.")
    assert list(read_parquet(tmp_path / "p.parquet", Problem)) == problems
