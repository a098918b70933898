"""The shipped curation, as it stands in `recipes/curation`, from a hub with its sets to the Parquet file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from curation_samples import PROBLEMS, problem
from official_samples import write_published
from problem_sets import MAKERS

from tessy.artifacts import read_json, read_rows
from tessy.config.curation_recipe import CurationRecipe
from tessy.config.evaluate import CodeBenchmark
from tessy.config.load import load_curation
from tessy.config.problems import PRESET_NAMES
from tessy.curate.presets import PRESETS
from tessy.layout import CURATION, HELD_OUT, LEFT_OUT_ROWS, MATCHES
from tessy.standins.benchmarks import TASKS, benchmark, write_jsonl
from tests.hub import Hub

SPEC = Path(__file__).parents[1] / "recipes" / "curation" / "contest-problems.yaml"
pytestmark = pytest.mark.slow


def publish_sets(hub: Hub, folder: Path) -> None:
    """Every preset's set, and in APPS 200 problems more, of which one is a benchmark's."""
    for name in PRESET_NAMES:
        MAKERS[name](folder / name)
    apps = (folder / "apps" / "train.jsonl").open("a")
    with apps:
        for number in range(200):
            row = {"id": 100 + number, "question": problem(number), "solutions": "[]", "input_output": ""}
            apps.write(json.dumps(row | {"difficulty": "interview", "url": "", "starter_code": ""}) + "\n")
    for name in PRESET_NAMES:
        hub.publish("datasets", PRESETS[name].hub, folder / name)


def write_benchmarks(recipe: CurationRecipe, data: Path) -> None:
    """The benchmarks' data at the places that the recipe names, below its own folder."""
    # LiveCodeBench's versions share a folder: the later one is written first.
    for one in reversed(recipe.benchmarks):
        if isinstance(one, CodeBenchmark):
            benchmark(one.kind, data / one.source, str(one.released_from or "2025-01-05"))
        else:
            assert one.data is not None
            write_jsonl(data / one.data, [TASKS[one.task]])
    leak = {"id": "t1", "prompt": PROBLEMS[3], "dataset": "ICPC", "language": "cpp", "difficulty": "easy"}
    with (data / "data" / "ojbench" / "prompts" / "full.jsonl").open("a") as full:
        full.write(json.dumps(leak) + "\n")


def test_contest_problems_run_whole(hub: Hub, tmp_path: Path) -> None:
    publish_sets(hub, tmp_path / "sets")
    write_benchmarks(load_curation(SPEC), tmp_path)
    write_published(tmp_path / "cache" / "tessy" / "official")
    out = tmp_path / "prompts.parquet"
    command = [*("curate", str(SPEC), "--out", str(out)), "--processes", "1", "--runs-dir", "runs"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tessy.cli", *command, "execution.tracking.wandb=disabled"],
        cwd=tmp_path,
        env=hub.environment(tmp_path / "home") | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs" / "contest-problems").glob("curation-*")
    record = read_json(folder / CURATION)
    recipe = load_curation(SPEC)
    assert [one["name"] for one in record["sources"]] == [one.title for one in recipe.curation.sources]
    assert all(one["read"] and one["commits"] and one["licence"] for one in record["sources"])
    assert set(record["benchmarks"]) == {one.name for one in recipe.benchmarks}
    (leak,) = read_rows(folder / MATCHES)
    assert (leak["benchmark"], leak["test_id"], leak["text"]) == ("ojbench", "t1", PROBLEMS[3])
    rows = read_rows(out)
    ids = Counter(row["problem_id"] for row in rows)
    # Fewer problems than 80,000 / 4: each as often as it may be, and not one of them 32,000 times.
    assert set(ids.values()) == {recipe.curation.selection.repeats}
    assert len(rows) == len({row["sample_id"] for row in rows})
    assert len(ids) == record["distinct"]
    held = read_rows(folder / HELD_OUT)
    assert len(held) == 2
    gone = len(read_rows(folder / LEFT_OUT_ROWS))
    # Held-out rows are among those that are left out of training, too.
    assert sum(one["read"] for one in record["sources"]) == gone + len(ids)
    assert all(row["license"] for row in rows)
