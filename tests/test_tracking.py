"""Metrics are always written; W&B mirrors them, offline here, and can break nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tessy.tracking import Tracker, read_metrics


def tracker(folder: Path, mode: str, mirror: Path) -> Tracker:
    return Tracker(
        folder, mode=mode, project="tests", group="g", name="n", kind="k", config={}, mirror=mirror
    )


def test_metrics_are_written_without_a_mirror(tmp_path: Path) -> None:
    t = tracker(tmp_path, "disabled", tmp_path / "wandb")
    t.log({"loss": 2.0}, step=1)
    t.log({"loss": 1.0}, step=2)
    t.table("rows", [{"a": 1}])
    t.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path)] == [(1, 2.0), (2, 1.0)]
    assert not (tmp_path / "wandb").exists()


def test_half_a_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1}\n{"los')
    assert read_metrics(tmp_path) == [{"loss": 1}]


@pytest.mark.slow
def test_an_offline_run_holds_metrics_tables_and_artifacts(tmp_path: Path) -> None:
    t = tracker(tmp_path, "offline", tmp_path / "mirror")
    t.log({"loss": 2.0}, step=1)
    t.table("rows", [{"a": 1, "b": "x"}])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file.txt").write_text("content")
    manifest = {"inputs": {"world": "world-abc"}, "fingerprint": "f", "revision": 1}
    t.artifact(tmp_path / "data", "dataset-name", "dataset", manifest)
    t.close()
    (run,) = (tmp_path / "mirror").rglob("*.wandb")
    parts = (b"loss", b"rows", b"dataset-name", b"world-abc")
    # W&B's own service writes the file; `finish` may return a moment before it has.
    deadline = time.monotonic() + 20
    while not all(part in run.read_bytes() for part in parts) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [part for part in parts if part not in run.read_bytes()] == []


@pytest.mark.slow
def test_a_mirror_that_fails_costs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    t = tracker(tmp_path, "offline", tmp_path / "file" / "mirror")
    t.log({"loss": 2.0})
    t.close()
    assert "W&B: NotADirectoryError" in capsys.readouterr().err
    assert read_metrics(tmp_path)[0]["loss"] == 2.0
