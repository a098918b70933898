"""Metrics are always written; W&B mirrors them, offline here, and can break nothing."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tessy.runtime.display import Display
from tessy.tracking import Tracker, read_metrics
from tests.wandb_files import OfflineRun, offline_runs
from tests.wandb_server import server, sync

UPLOADS = [
    ("none", "dataset", False), ("datasets", "dataset", True), ("datasets", "model", False),
    ("all", "model", True),
]  # fmt: skip


def tracker(folder: Path, mode: str, mirror: Path, **more: Any) -> Tracker:
    return Tracker(
        folder, mode=mode, project="tests", group="g", name="n", kind="k", config={}, mirror=mirror, **more
    )


def test_metrics_are_written_without_a_mirror(tmp_path: Path) -> None:
    t = tracker(tmp_path, "disabled", tmp_path / "wandb")
    t.log({"loss": 2.0}, step=1)
    t.log({"loss": 1.0}, step=2)
    t.table("rows", [{"a": 1}])
    t.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path)] == [(1, 2.0), (2, 1.0)]
    assert not (tmp_path / "wandb").exists()


def test_half_a_line_is_left_out_and_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1}\n{"los')
    assert read_metrics(tmp_path) == [{"loss": 1}]
    t = tracker(tmp_path, "disabled", tmp_path / "wandb")
    t.log({"loss": 2})
    t.close()
    assert [row["loss"] for row in read_metrics(tmp_path)] == [1, 2]


def finished_runs(mirror: Path, number: int) -> list[OfflineRun]:
    """The offline runs, once W&B's own service has written their ends: `finish` may return before it has."""
    deadline = time.monotonic() + 30
    runs = offline_runs(mirror)
    while sum(run.exit_code is not None for run in runs) < number and time.monotonic() < deadline:
        time.sleep(0.1)
        runs = offline_runs(mirror)
    return runs


MANIFEST = {"inputs": {"world": "world-abc"}, "fingerprint": "f123", "revision": 1}


def sealed(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file.txt").write_text("content")
    return tmp_path / "data"


@pytest.mark.slow
def test_an_offline_run_holds_metrics_tables_and_artifacts(tmp_path: Path) -> None:
    t = tracker(tmp_path, "offline", tmp_path / "mirror")
    t.log({"loss": 2.0}, step=100)
    t.table("rows", [{"a": 1, "b": "x"}])
    t.log({"score": 0.5})
    t.artifact(sealed(tmp_path), "dataset-name", "dataset", MANIFEST)
    t.close()
    (run,) = finished_runs(tmp_path / "mirror", 1)
    assert t.lost == []
    assert run.metrics() == [{"loss": 2.0, "step": 100}, {"score": 0.5}]
    assert run.tables() == {"rows": [[1, "x"]]}
    artifact = next(artifact for artifact in run.artifacts if artifact.name == "dataset-name")
    assert "f123" in artifact.aliases
    assert json.loads(artifact.metadata)["inputs"] == {"world": "world-abc"}
    assert artifact.manifest.contents[0].ref.startswith("file://")


@pytest.mark.slow
@pytest.mark.parametrize(("upload", "kind", "uploaded"), UPLOADS)
def test_files_are_uploaded_where_the_recipe_says_so(
    upload: str, kind: str, uploaded: bool, tmp_path: Path
) -> None:
    t = tracker(tmp_path, "offline", tmp_path / "mirror", upload=upload)
    t.artifact(sealed(tmp_path), "made", kind, MANIFEST)
    t.close()
    (run,) = finished_runs(tmp_path / "mirror", 1)
    (entry,) = run.artifacts[0].manifest.contents
    assert entry.local_path == (str(tmp_path / "data" / "file.txt") if uploaded else "")
    assert bool(entry.ref) is not uploaded


@pytest.mark.slow
def test_a_resumed_stage_goes_on_with_its_run_and_loses_no_row(tmp_path: Path) -> None:
    for steps in ((1, 2, 3), (2, 3, 4)):
        t = tracker(tmp_path, "offline", tmp_path / "mirror", identity=tmp_path / "work" / "run")
        for step in steps:
            t.log({"loss": 1.0 / step}, step=step)
        t.close()
        time.sleep(1.1)  # W&B names the folders of a run's parts by the second.
    parts = finished_runs(tmp_path / "mirror", 2)
    assert len(parts) == 2
    assert parts[0].run_id == parts[1].run_id
    assert [row["step"] for part in parts for row in part.metrics()] == [1, 2, 3, 2, 3, 4]
    assert [row["_step",] for part in parts for row in part.history] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3, 2, 3, 4]


@pytest.mark.slow
def test_what_was_written_offline_arrives_whole_by_wandb_sync(tmp_path: Path) -> None:
    """By the real command; the server is a stand-in that keeps what it is sent."""
    folder = sealed(tmp_path)
    for steps in ((1, 2, 3), (3, 4)):
        t = tracker(
            tmp_path, "offline", tmp_path / "mirror", upload="datasets", identity=tmp_path / "work" / "run"
        )
        for step in steps:
            t.log({"loss": 1.0 / step}, step=step)
        t.table(f"rows/{len(steps)}", [{"a": step, "b": "x"} for step in steps])
        t.close()
        time.sleep(1.1)  # W&B names the folders of a run's parts by the second.
    t = tracker(tmp_path, "offline", tmp_path / "mirror", upload="datasets")
    t.artifact(folder, "made", "dataset", MANIFEST)
    t.artifact(folder, "trained", "model", MANIFEST)
    t.close(exit_code=1)
    finished_runs(tmp_path / "mirror", 3)
    with server() as (address, received):
        sync(tmp_path / "mirror", address)
    resumed = (tmp_path / "work" / "run").read_text()
    rows = [row for row in received.history[resumed] if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 3, 4]
    assert [row["loss"] for row in rows] == [row["loss"] for row in read_metrics(tmp_path)]
    assert received.table(resumed, "rows/3") == [[1, "x"], [2, "x"], [3, "x"]]
    assert received.table(resumed, "rows/2") == [[3, "x"], [4, "x"]]
    assert received.artifact("made")["file.txt"] == b"content"
    assert set(received.artifact("trained")) == {"wandb_manifest.json"}, "a reference: the files stay here"
    (other,) = set(received.runs) - {resumed}
    assert received.runs[other]["displayName"] == "n"
    assert (received.ended[resumed], received.ended[other]) == (0, 1)
    assert received.unknown == []


class OnlineRun:
    """Stands for a run with a server: keeps what it is told, and knows no version of one artifact."""

    offline = False

    def __init__(self) -> None:
        self.used: list[str] = []
        self.logged: list[tuple[str, list[str]]] = []

    def use_artifact(self, name: str) -> None:
        if name.startswith("unknown"):
            raise ValueError("no such version")
        self.used.append(name)

    def log_artifact(self, artifact: Any, aliases: list[str]) -> None:
        self.logged.append((artifact.name, aliases))


@pytest.mark.slow
def test_lineage_names_each_artifact_s_own_version(tmp_path: Path) -> None:
    t = tracker(tmp_path, "disabled", tmp_path / "mirror")
    t._run = run = OnlineRun()
    inputs = {"model": "train-tessy-seed0-0a1b", "gone": "unknown-77", "world": "world-abc"}
    t.artifact(sealed(tmp_path), "evaluate", "dataset", MANIFEST | {"inputs": inputs})
    assert run.used == ["train-tessy-seed0:0a1b", "world:abc"]
    assert run.logged == [("evaluate", ["f123"])]
    assert t.lost == ["lineage to unknown"]


@pytest.mark.slow
def test_a_mirror_that_fails_costs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    t = tracker(tmp_path, "offline", tmp_path / "file" / "mirror")
    t.log({"loss": 2.0})
    t.close()
    assert "W&B: the whole run was lost: NotADirectoryError" in capsys.readouterr().err
    assert t.lost == ["the whole run"]
    assert read_metrics(tmp_path)[0]["loss"] == 2.0


def test_what_the_mirror_lost_is_said_at_the_end_of_a_run() -> None:
    said = io.StringIO()
    with Display(Console(file=said, width=200)) as display:
        for stage in ("evaluate", "train"):
            display.started(stage)
        display.heard("evaluate", {"lost": ["table verdicts", "metrics", "metrics"]})
        for stage in ("evaluate", "train"):
            display.finished(stage)
    last = said.getvalue().splitlines()[-1]
    assert last.startswith("W&B lost 3 of evaluate's records: table verdicts, metrics; ")
    assert "train" not in last
