"""A recipe that was run here, and one of its evaluations made again on a cluster: the same but for times."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tessy.artifacts import read_json, read_rows
from tessy.processes import python_module
from tests.shared_judging import write_tests
from tests.test_sweep import tiny

ROOT = Path(__file__).parents[1]
TIMES = ("cpu_s", "wall_s", "peak_mib")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The artifact of an evaluation that was made here, and where it is made again."""

    recipe: Path
    here: Path
    there: Path

    @property
    def partial(self) -> Path:
        return self.there.with_name(f"{self.there.name}.partial")

    @contextmanager
    def on(self, cluster: Mapping[str, Any], workers: int) -> Iterator[subprocess.Popen[str]]:
        """The run that makes it, on a cluster."""
        where = [f"execution.cluster={json.dumps(cluster)}", f"execution.workers={workers}"]
        command = python_module("tessy.cli", "run", str(self.recipe), *where)
        command += ["--runs-dir", str(self.there.parents[1])]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            try:
                yield run
            finally:
                run.terminate()

    def check(self) -> None:
        """The results are those of the run here: responses, verdicts, scores."""
        assert content(self.there) == content(self.here)
        results = [read_json(folder.parent / "report" / "results.json") for folder in (self.there, self.here)]
        assert results[0]["rows"] == results[1]["rows"]
        assert results[0]["fingerprint"] == results[1]["fingerprint"]


def content(artifact: Path) -> dict[str, Any]:
    """What an evaluation's files hold; how long programs ran is left out."""
    files = sorted(read_json(artifact / "manifest.json")["files"])
    assert any(name.endswith("responses.parquet") for name in files)
    return {
        name: [without_times(row) for row in read_rows(artifact / name)]
        if name.endswith(".parquet")
        else (artifact / name).read_bytes()
        for name in files
    }


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def evaluated(folder: Path, stage: str) -> Evaluation:
    """A recipe of seconds, run in `folder`; its `stage` is to be made again elsewhere."""
    path = tiny(folder)
    recipe = yaml.safe_load(path.read_text())
    write_tests(folder / "tests")
    source = {"kind": "livecodebench_v6", "source": str(folder / "tests"), "instruction": "ours"}
    recipe["evaluate"]["benchmarks"].append({"name": "sums", **source})
    recipe["evaluate"]["samples"] = 4
    path.write_text(yaml.safe_dump(recipe))
    here, there = folder / "here", folder / "there"
    command = python_module("tessy.cli", "run", str(path), "--runs-dir", str(here))
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(here / recipe["name"], there / recipe["name"], symlinks=True)
    (made,) = (here / recipe["name"]).glob(f"{stage}-*")
    shutil.rmtree(there / recipe["name"] / made.name)
    for report in (there / recipe["name"]).glob("report*"):
        report.unlink() if report.is_symlink() else shutil.rmtree(report)
    return Evaluation(path, made, there / recipe["name"] / made.name)
