"""Implements `tessy run` and `tessy plan`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tessy.artifacts import read_json, replacing
from tessy.config.execution import Execution
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.engines.command import installed_build, offers
from tessy.engines.devices import devices_here, devices_named
from tessy.engines.placing import placing
from tessy.errors import UserError
from tessy.estimate import describe, require_fit, training_tokens
from tessy.experiment import plan
from tessy.funnel import funnel
from tessy.runtime.display import Display
from tessy.runtime.plan import Plan
from tessy.runtime.preflight import preflight
from tessy.runtime.reuse import decide
from tessy.runtime.run import StageFailed, execute
from tessy.terminal import mark
from tessy.tracking import Tracker, for_agent

REPORT = "report"
RESULTS = "results.json"
INTERRUPTED = 130
"""The exit status of a run that a Ctrl-C ended."""


def run_recipe(path: Path, overrides: Sequence[str], runs_dir: Path, tiny: bool = False) -> int:
    """Run a recipe, cut short if `tiny`, and print the result table; returns the exit status."""
    planned = plan(_recipe(path, overrides, runs_dir, tiny))
    check(planned, runs_dir)
    if for_agent():
        return _run_for_agent(planned, overrides, runs_dir)
    return run_planned(planned, runs_dir, Console())


def check(planned: Plan[Recipe], runs_dir: Path) -> None:
    """Raise `UserError` listing everything that would stop `planned` later."""
    require_fit(planned.recipe)
    preflight(planned, runs_dir)
    settled(planned.recipe)


def settled(recipe: Recipe) -> Execution:
    """The recipe's execution with the memory of its servers on this machine, or on the device that a recipe
    for a cluster names (`execution.train.device`); raises `UserError` where they do not fit."""
    elsewhere = recipe.execution.cluster.kind != "local"
    here = (devices_named(recipe) if elsewhere else None) or devices_here(_build())
    if here is None:
        return recipe.execution
    return placing(recipe, here).settled(recipe.execution, exact=offers("kv_cache_memory_bytes"))


def _build() -> str | None:
    """The build of vLLM that is installed, if any."""
    try:
        return installed_build()
    except UserError:
        return None


def _run_for_agent(planned: Plan[Recipe], overrides: Sequence[str], runs_dir: Path) -> int:
    """Like `run_recipe`; the results also go to the W&B run that a sweep's agent requested."""
    recipe, folder = planned.recipe, runs_dir / planned.recipe.name
    changed = (override.split("=", 1) for override in overrides)
    tracker = Tracker(
        folder,
        mode=recipe.execution.tracking.wandb,
        project=recipe.execution.tracking.project,
        group=recipe.name,
        name=" ".join(overrides),
        kind="recipe",
        config={
            "recipe": recipe.name,
            "fingerprint": planned.fingerprint,
            **{field: yaml.safe_load(value) for field, value in changed},
        },
        mirror=folder / "wandb",
    )
    status = 1
    try:
        status = run_planned(planned, runs_dir, Console())
        if status == 0:
            from tessy.report.contract import parse_results, score_metrics

            made = folder / planned.stages[-1].folder / RESULTS
            tracker.log(score_metrics(parse_results(read_json(made))))
    finally:
        tracker.close(status)
    return status


def run_planned(planned: Plan[Recipe], runs_dir: Path, console: Console) -> int:
    """Run a plan that has passed its checks; returns the exit status.

    Raises `UserError` where a stage refused its input.
    """
    started = time.monotonic()
    try:
        with Display(console) as display:
            folder = execute(planned, runs_dir, display, settled(planned.recipe))
    except StageFailed as error:
        console.print(Text.assemble(mark(False, console.encoding), str(error)))
        console.print("Run the same command again to go on from here.")
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to go on from here.")
        return INTERRUPTED
    page = publish(planned, folder)
    _print_results(console, page.parent)
    console.print(f"{page} in {time.monotonic() - started:.0f} s", highlight=False)
    return 0


def publish(planned: Plan[Recipe], folder: Path) -> Path:
    """Make `report/` the report of this plan; returns the page."""
    source, target = folder / planned.stages[-1].folder, folder / REPORT
    target.mkdir(exist_ok=True)
    for name in (RESULTS, "index.html"):
        with replacing(target / name) as whole:
            shutil.copyfile(source / name, whole)
    return target / "index.html"


def _print_results(console: Console, report: Path) -> None:
    from tessy.report import terminal_table

    console.print(terminal_table(read_json(report / RESULTS)))


def _recipe(path: Path, overrides: Sequence[str], runs_dir: Path, tiny: bool) -> Recipe:
    """The recipe at `path`; if `tiny`, it is cut short, and what that replaces is printed."""
    recipe = load(path, overrides)
    if not tiny:
        return recipe
    from tessy.standins.recipe import cut_short, replaced

    short = cut_short(recipe, runs_dir)
    Console().print(Text(replaced(recipe, short)), soft_wrap=True)
    return short


def _memory(recipe: Recipe) -> Iterator[str]:
    """Lines about the memory of models, on the device that the recipe names or on this machine's."""
    devices = devices_named(recipe) or devices_here(_build())
    if devices is not None:
        yield from placing(recipe, devices).lines()


def show_plan(path: Path, overrides: Sequence[str], runs_dir: Path, tiny: bool = False) -> None:
    """Print what would happen to every stage, and the estimated cost of training."""
    planned = plan(_recipe(path, overrides, runs_dir, tiny))
    require_fit(planned.recipe)
    memory = list(_memory(planned.recipe))
    table = Table("stage", "fingerprint", "action", "why", box=None)
    colors = {"reuse": "green", "resume": "yellow", "run": "cyan"}
    for decision in decide(planned, runs_dir / planned.recipe.name):
        color = colors[decision.action]
        table.add_row(
            decision.stage.name, decision.stage.fingerprint, f"[{color}]{decision.action}[/]", decision.reason
        )
    Console().print(planned.recipe.description, highlight=False, markup=False)
    Console().print(table)
    for line in funnel(planned.recipe):
        Console().print(line, highlight=False, soft_wrap=True)
    Console().print(describe(planned.recipe, training_tokens(planned.recipe)), highlight=False)
    for line in memory:
        Console().print(line, highlight=False)
