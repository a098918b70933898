"""Sweeps: what a sweep file may say, what W&B's own agent makes of it, and a small one run to the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_samples import results as sample_results
from report_samples import row

from tessy.commands.sweep import overrides, plan_points, read_sweep
from tessy.errors import UserError
from tessy.report.contract import parse_results
from tessy.report.sweep import SweepMetric, SweepPoint, SweepReport, best, render_sweep, swept_numbers
from tessy.runtime.run import environment
from tessy.tracking import OF_ONE_RUN

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "recipes" / "sweeps").glob("*.yaml"))
COMMAND = ["tessy", "run", "recipes/mini.yaml", "${args_no_hyphens}"]
METRIC = {"name": "TESSY/ojbench_mini/pass@1", "goal": "maximize"}


def write(folder: Path, parameters: Mapping[str, Any], **changes: Any) -> Path:
    """A sweep file over the miniature, or with `recipe` over another; keys that are None are left out."""
    sweep = {"method": "grid", "metric": METRIC, "parameters": dict(parameters), "command": COMMAND} | changes
    (folder / "s.yaml").write_text(
        yaml.safe_dump({k: v for k, v in sweep.items() if v is not None}, sort_keys=False)
    )
    return folder / "s.yaml"


def several(*values: Any) -> dict[str, Any]:
    return {"values": list(values)}


RATES = {"train.learning_rate": several(1e-3, 2e-3)}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_in_the_repository_can_start(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    sweep = read_sweep(path)
    assert sweep.name == path.stem
    points = plan_points(sweep, tmp_path)
    assert len({point.planned.fingerprint for point in points}) == len(points) > 1


def test_a_grid_is_every_combination_and_shares_what_a_point_does_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    file = write(tmp_path, {**RATES, "train.seeds": several([0], [0, 1]), "train.epochs": {"value": 2}})
    points = plan_points(read_sweep(file), tmp_path)
    assert [point.overrides for point in points] == [
        f"train.learning_rate={rate} 'train.seeds={seeds}' train.epochs=2"
        for rate in (0.001, 0.002)
        for seeds in ("[0]", "[0, 1]")
    ]
    assert points[3].planned.recipe.train.seeds == [0, 1]
    assert len({point.planned.stage("synthesize-tessy").fingerprint for point in points}) == 1
    assert len({point.planned.stage("train-tessy-seed0").fingerprint for point in points}) == 2


@pytest.mark.parametrize(
    ("parameters", "changes", "said"),
    [
        (RATES, {"method": "bayes"}, ["method: 'bayes'", "wandb sweep"]),
        (RATES, {"metric": None}, ["metric: required, and missing"]),
        (RATES, {"metod": "grid"}, ["metod: unknown", "did you mean 'method'"]),
        (RATES, {"early_terminate": {"type": "hyperband"}}, ["early_terminate", "wandb sweep"]),
        (RATES, {"command": ["python", "x.py", "${args}"]}, ["must end with ['tessy', 'run'"]),
        ({"train.epochs": {"min": 1, "max": 4}}, {}, ["parameters.train.epochs.min: unknown", "wandb sweep"]),
        ({"train.epochs": {"valus": [1]}}, {}, ["did you mean 'values'"]),
        ({"train.epochs": {}}, {}, ["train.epochs", "either `values`, a list, or one `value`"]),
        ({"train": {"parameters": {"epochs": several(1)}}}, {}, ["name every field of it, as train.FIELD"]),
        ({"execution.jobs": several(1, 2)}, {}, ["execution.jobs: changes no result"]),
        ({"problems.limit": several(None, 9)}, {}, ["None would not reach the recipe", "'None'"]),
        ({"synthesis.compat": several("a: b")}, {}, ["'a: b' would not reach the recipe"]),
    ],
)
def test_what_a_sweep_file_may_not_say(
    tmp_path: Path, parameters: dict[str, Any], changes: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(UserError) as refused:
        read_sweep(write(tmp_path, parameters, **changes))
    assert [part for part in said if part not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("parameters", "metric", "said"),
    [
        (
            {"train.epochs": several(2, 0)},
            METRIC,
            ["point train.epochs=0:", "train.epochs: 0 is not allowed"],
        ),
        ({"train.epoch": several(2, 3)}, METRIC, ["train.epoch: unknown key; did you mean 'epochs'"]),
        ({"problems.source": several("gone.jsonl")}, METRIC, ["'gone.jsonl': no such file"]),
        (
            RATES,
            {"name": "TESY/ojbench_mini/pass@1"},
            ["metric.name", "did you mean 'TESSY/ojbench_mini/pass@1'"],
        ),
    ],
)
def test_every_point_is_checked_before_the_first_one_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, Any],
    metric: dict[str, Any],
    said: list[str],
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as refused:
        plan_points(read_sweep(write(tmp_path, parameters, metric=metric)), tmp_path / "runs")
    assert [part for part in said if part not in str(refused.value)] == []
    assert str(refused.value).count("point ") == 1


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"gone\.yaml.*No such file"):
        read_sweep(Path("gone.yaml"))


def test_stages_do_not_inherit_an_agents_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_ONE_RUN:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("WANDB_ENTITY", "us")
    assert not OF_ONE_RUN & environment(1).keys()
    assert environment(1)["WANDB_ENTITY"] == "us"


def report(**points: float | None) -> SweepReport:
    """A sweep of `train.epochs`, with TESSY's score at each; None where a point has no results."""

    def made(value: float) -> Any:
        return parse_results(sample_results(rows=[row(m, "b", value) for m in ("Student", "TESSY")]))

    swept = [
        SweepPoint(
            {"train.epochs": int(n[1:]), "<b>": "<i>"}, f"report-{n}", made(v) if v is not None else None
        )
        for n, v in points.items()
    ]
    return SweepReport(
        "s", "mini", "<script>", SweepMetric("TESSY/b/pass@1", "maximize"), "tessy sweep", swept
    )


def test_the_page_shows_every_point_its_interval_and_a_curve_per_number() -> None:
    shown = report(n1=0.3, n2=0.6, n4=None)
    page = render_sweep(shown)
    assert swept_numbers(shown) == ["train.epochs"]
    assert page.count('<svg class="figure"') == 1
    assert "train.epochs 2, TESSY 60.0 %, 55.0 to 65.0" in page
    assert page.count('href="../report-n1/index.html"') == 2
    assert page.count("no results") == 1
    assert "<script>" not in page
    assert "<i>" not in page
    assert "&lt;i&gt;" in page


def test_the_best_point_is_that_of_the_metrics_goal() -> None:
    chosen = best(report(n1=0.3, n2=0.6, n4=0.5))
    assert chosen is not None
    assert chosen[0].report == "report-n2"
    assert best(report(n1=None)) is None


# With W&B -----------------------------------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_an_agent_gives_a_point_the_same_arguments(path: Path, tmp_path: Path) -> None:
    from wandb.sdk.launch.sweeps import utils

    assert utils.load_sweep_config(str(path)) is not None
    sweep = read_sweep(path)
    for field, parameter in sweep.parameters.items():
        for value in json.loads(json.dumps(parameter.all)):
            args = utils.create_sweep_command_args({"args": {field: {"value": value}}})
            assert args["args_no_hyphens"] == overrides({field: value})


def tiny(folder: Path) -> Path:
    """A recipe of few seconds: a random model's own responses, and two questions with numbers for answers."""
    from tests.test_interrupt import make_recipe

    path = make_recipe(folder)
    recipe = yaml.safe_load(path.read_text())
    questions = [{"ID": str(n), "Problem": f"What is {n}?", "Answer": n} for n in (1, 2)]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, questions)))
    recipe["problems"]["limit"] = 16
    recipe["execution"]["concurrency"] = 16
    recipe["train"]["epochs"] = 1
    recipe["evaluate"]["samples"] = 2
    (benchmark,) = recipe["evaluate"]["benchmarks"]
    benchmark |= {"task": "tessy_aime2024", "filter": "all"}
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.mark.sweep
@pytest.mark.timeout(300)
def test_a_sweep_shares_work_outlives_a_failing_point_and_an_agents_run_is_the_whole_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    recipe = tiny(tmp_path)
    (tmp_path / "bad.jsonl").write_text('{"id": "p0", "prompt": ""}\n')
    good, bad = str(tmp_path / "problems.jsonl"), str(tmp_path / "bad.jsonl")
    command = ["tessy", "run", str(recipe), "${args_no_hyphens}"]
    metric = {"name": "Student-Only/b/exact_match", "goal": "maximize"}
    parameters = {"problems.source": several(bad, good), "evaluate.pass_at": several([], [2])}
    file = write(tmp_path, parameters, command=command, metric=metric)

    sweep = ["tessy", "sweep", str(file), "--at-once", "2"]
    done = subprocess.run(sweep, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 of 4 points have results" in done.stdout
    runs = tmp_path / "runs" / "tiny"
    points = json.loads((runs / "sweep-s" / "results.json").read_text())["points"]
    assert [point["rows"] is None for point in points] == [True, True, False, False]
    assert {row["metric"] for row in points[3]["rows"]} - {row["metric"] for row in points[2]["rows"]} == {
        "pass@2"
    }
    assert len(list(runs.glob("train-*/manifest.json"))) == 1
    assert (runs / points[3]["report"] / "index.html").is_file()
    assert "Student-Only" in (runs / "sweep-s" / "index.html").read_text()

    whole, stages = as_an_agent(command, {"problems.source": good, "description": "other"}, monkeypatch)
    assert missing(whole, b"Student-Only/b/exact_match", b"sweep123", b"description") == []
    assert len(stages) == 1
    assert missing(stages[0], b"sweep123", wait_s=0) == [b"sweep123"]


def missing(run: Path, *parts: bytes, wait_s: float = 20) -> list[bytes]:
    """What a W&B run's file lacks; W&B's own service writes it, maybe a moment after the run has ended."""
    deadline = time.monotonic() + wait_s
    while (lacking := [p for p in parts if p not in run.read_bytes()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return lacking


def as_an_agent(
    command: list[str], parameters: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, list[Path]]:
    """Have W&B's agent start a run, offline: the file of the run it asked for, and those of its stages."""
    from wandb.wandb_agent import Agent

    # An agent sets what belongs to a run in its own environment; afterwards all of it is as before.
    for name, value in {
        "WANDB_SWEEP_ID": "sweep123",
        "WANDB_RUN_ID": "",
        "WANDB_SWEEP_PARAM_PATH": "",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_DIR", str(Path.cwd()))
    monkeypatch.setenv("WANDB_MODE", "offline")
    agent = Agent(api=None, queue=None)
    agent._sweep_command = [*command[:-1], "execution.tracking.wandb=auto", command[-1]]
    args = {name: {"value": value} for name, value in parameters.items()}
    agent._command_run({"run_id": "run42", "program": "tessy", "args": args})
    assert agent._run_processes["run42"].wait(timeout=120) == 0
    files = {path.stem: path for path in Path.cwd().rglob("*.wandb")}
    return files.pop("run-run42"), list(files.values())
