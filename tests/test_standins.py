"""Stand-ins of `--sizes tiny`: whole wherever a run was killed, the same every time, and named on screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tessy.config.load import load
from tessy.standins.benchmarks import benchmark
from tessy.standins.recipe import CHECKPOINT, cut_short, replaced

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
FULL = ROOT / "recipes" / "one-gpu" / "full-80gb.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with the stand-ins of a recipe."""
    runs = tmp_path_factory.mktemp("runs")
    cut_short(load(FULL), runs)
    return runs


def contents(runs: Path) -> dict[str, bytes]:
    return {str(path.relative_to(runs)): path.read_bytes() for path in runs.rglob("*") if path.is_file()}


@pytest.mark.parametrize("missing", CHECKPOINT)
def test_what_an_earlier_version_left_half_written_is_made_again(
    missing: str, made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path / "runs")
    folder = next((tmp_path / "runs").glob("*/standins/student"))
    (folder / missing).unlink()
    cut_short(load(FULL), tmp_path / "runs")
    assert contents(tmp_path / "runs") == contents(made)


def test_a_kill_while_stand_ins_are_written_is_gone_on_from(made: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "tessy.cli", "plan", str(FULL), "--sizes", "tiny"]
    process = subprocess.Popen(
        [*command, "--runs-dir", str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    while not list(tmp_path.glob("*/standins/student*/config.json")):
        assert process.poll() is None
        time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(contents(tmp_path)) < len(contents(made))
    cut_short(load(FULL), tmp_path)
    assert contents(tmp_path) == contents(made)


def test_a_benchmark_is_the_same_bytes_whenever_it_is_made(tmp_path: Path) -> None:
    for name in ("now", "later"):
        for kind in ("ojbench", "livecodebench_pro"):
            benchmark(kind, tmp_path / name / kind, "2025-01-01")
        time.sleep(2.1)  # A zip tells times by two seconds.
    assert contents(tmp_path / "now") == contents(tmp_path / "later")


def test_an_optimizer_that_is_not_installed_is_named_with_what_replaces_it(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "tessy.cli", "plan", str(FULL), "--sizes", "tiny"]
    command += ["--runs-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = "train.optimizer 'adamw_8bit' is replaced by 'adamw' (bitsandbytes is not installed)"
    assert (said in done.stdout) == (find_spec("bitsandbytes") is None)


def test_what_no_random_model_can_do_is_named(tmp_path: Path) -> None:
    task = f"{{kind: lm_eval, name: sums, task: gsm8k, metric: exact_match, revision: {'a' * 40}}}"
    code = "{kind: mbpp, name: mbpp, source: data/mbpp}"
    recipe = load(
        ROOT / "recipes" / "one-gpu" / "own-predictors.yaml", [f"evaluate.benchmarks=[{code},{task}]"]
    )
    said = replaced(recipe, cut_short(recipe, tmp_path))
    assert "predictors.annotator 'llm' is replaced by the English lexicon" in said
    assert said.endswith("evaluate.benchmarks is without sums (nothing is fetched)")
