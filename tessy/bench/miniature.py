"""The miniature's models, made where they are missing, and what is measured with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tessy.artifacts import read_parquet, read_rows
from tessy.bench import readers
from tessy.bench import synthesis as arrangements
from tessy.bench.harness import Models
from tessy.boundary.segments import THINKINGS
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.experiment import plan
from tessy.layout import PROBLEMS
from tessy.records import ROLES, Problem
from tessy.runtime.display import Display
from tessy.runtime.plan import Plan, Stage
from tessy.runtime.preflight import preflight
from tessy.runtime.run import execute

Say = Callable[[str], None]
STRIDE, REACH, CONCURRENCY = 12, 128, 256
"""What a miniature trace's short spans ask for, found by trying."""


def synthesis(recipe: Path, runs_dir: Path, say: Say) -> dict[str, Any]:
    planned, folder = _made(recipe, runs_dir)
    config, predictors = planned.recipe, planned.recipe.predictors
    assert predictors is not None
    problems = read_parquet(folder / problems_stage(planned).folder / PROBLEMS, Problem)
    models = Models(
        {role: str(folder / planned.stage(f"model-{role}").folder / "model") for role in ROLES},
        {role: config.models.of(role).format for role in ROLES},
        {role: str(folder / planned.stage(f"predictor-{role}").folder / "model") for role in ROLES},
        [(problem.problem_id, problem.prompt) for problem in problems],
        predictors.window_tokens,
        config.synthesis.max_tokens,
        config.synthesis.sampler.model_dump(),
        CONCURRENCY,
        STRIDE,
        REACH,
    )
    return arrangements.measure(models, say)


def problems_stage(planned: Plan[Recipe]) -> Stage:
    """The one that makes the problems: a stage of that name, or a curation."""
    return planned.stage(planned.stage("annotations-student").inputs["problems"])


def predictors(recipe: Path, runs_dir: Path, say: Say) -> dict[str, Any]:
    planned, folder = _made(recipe, runs_dir)
    assert planned.recipe.predictors is not None
    thinkings = read_rows(folder / planned.stage("annotations-student").folder / THINKINGS)
    return readers.measure(
        str(folder / planned.stage("predictor-student").folder / "model"),
        planned.recipe.predictors.window_tokens,
        [row["text"] for row in thinkings],
        say,
    )


def _made(recipe: Path, runs_dir: Path) -> tuple[Plan[Recipe], Path]:
    """The recipe's plan up to its models and predictors, all of them there."""
    whole = plan(load(recipe))
    wanted = {f"{kind}-{role}" for kind in ("model", "predictor") for role in ROLES}
    stages: list[Stage] = []
    for stage in reversed(whole.stages):
        if stage.name in wanted:
            stages.insert(0, stage)
            wanted |= set(stage.inputs.values())
    part = replace(whole, stages=tuple(stages))
    preflight(part, runs_dir)
    with Display(Console(stderr=True)) as display:
        return part, execute(part, runs_dir, display)
