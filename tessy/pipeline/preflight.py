"""Checks before anything starts: files a recipe names, tests, folders, disk, sandbox.

Everything here is quick and reads only; whatever is found missing is said at once, with the remedy.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tessy.errors import UserError
from tessy.pipeline.plan import Plan, decide
from tessy.recipe import MINIATURE, Recipe

DISK_NEEDED = 1 << 30
"""Bytes that must be free before a run starts: what a miniature run leaves, twice over."""


def preflight(planned: Plan, runs_dir: Path) -> None:
    """Raise `UserError` naming everything that would stop `planned` later."""
    faults = [*_sources(planned.recipe), *_folder(runs_dir, planned.recipe.name)]
    todo = {d.stage.kind for d in decide(planned, runs_dir / planned.recipe.name) if d.action != "reuse"}
    if not faults and todo & {"evaluate", "instrument"}:
        faults += _sandbox(planned.recipe)
    if faults:
        raise UserError("\n       ".join(faults))


def _sources(recipe: Recipe) -> Iterator[str]:
    named = {"problems.source": recipe.problems.source}
    if recipe.predictors is not None:
        named["predictors.lexicon"] = recipe.predictors.lexicon
    for field, source in named.items():
        if source != MINIATURE and not Path(source).is_file():
            yield f"{field} {source!r}: no such file; give an existing one or 'miniature'"
    for role, model in (("student", recipe.models.student), ("teacher", recipe.models.teacher)):
        looks_local = model.source.startswith((".", "/", "~"))
        if looks_local and not (Path(model.source) / "config.json").is_file():
            yield f"models.{role}.source {model.source!r}: no checkpoint there (config.json is missing)"


def _folder(runs_dir: Path, name: str) -> Iterator[str]:
    place = runs_dir / name
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        yield f"--runs-dir {runs_dir}: {place} is a file; choose a folder"
    elif not os.access(place, os.W_OK | os.X_OK):
        yield f"--runs-dir {runs_dir}: no permission to write in {place}; choose another folder"
    elif shutil.disk_usage(place).free < DISK_NEEDED:
        free = shutil.disk_usage(place).free >> 20
        needed = DISK_NEEDED >> 20
        yield f"--runs-dir {runs_dir}: {free} MiB free, {needed} needed; free some or choose another disk"


def _sandbox(recipe: Recipe) -> Iterator[str]:
    # By name: `tessy` does not import `eval`; only whoever asks for an evaluation reaches it.
    try:
        importlib.import_module("eval.sandbox").require()
        for benchmark in recipe.evaluate.code:
            if benchmark.source != MINIATURE:
                module = importlib.import_module("eval.benchmarks")
                module.check(benchmark.kind, Path(benchmark.source), benchmark.name)
    except ValueError as error:
        yield str(error)
