"""`tessy curate`: problems worth training on, as a Parquet file, without an experiment around them."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tessy.artifacts import read_json
from tessy.config.curation_recipe import CurationRecipe
from tessy.config.load import load_curation
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.experiment import plan, plan_curation
from tessy.funnel import funnel
from tessy.layout import CURATION, PROBLEMS
from tessy.report.curation import write_page
from tessy.runtime.display import Display
from tessy.runtime.plan import Plan, Stage
from tessy.runtime.preflight import preflight
from tessy.runtime.run import StageFailed, execute
from tessy.terminal import mark

STAGE = "curation"
PAGE = "curation.html"
INTERRUPTED = 130


@click.command(
    "curate",
    epilog="""\b
Examples:
  tessy curate recipes/curation/contest-problems.yaml
  tessy curate spec.yaml curation.duplicates.threshold=0.6 --out problems.parquet
  tessy curate recipes/mini.yaml          # only the problems of a recipe
  tessy curate spec.yaml --dry-run        # the funnel's settings

\b
A specification, as small as it gets:
  name: mine
  curation: {sources: [{source: problems.jsonl}], check_benchmarks: false}
""",
)
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[SECTION.KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path), help="Copy the problems to this Parquet file.")
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where results go.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes that look at texts; one for each core if not given.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and show what would be done.")
def curate_command(
    spec: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    runs_dir: Path,
    processes: int | None,
    dry_run: bool,
) -> None:
    """Clean, deduplicate, decontaminate and select the problems that SPEC names.

    SPEC is a specification of problems alone, or a recipe with `problems.curation`. Results are in
    RUNS_DIR/<name>/: the problems with a card, everything that was left out and why, every match with a
    benchmark, and a page. After Ctrl-C or a crash the same command goes on where it stopped.
    """
    if out is not None and out.suffix != ".parquet":
        raise UserError(f"--out {out}: what is written is Parquet; let it end in .parquet")
    planned = _planned(load_curation(spec, overrides), processes or os.cpu_count() or 1, str(spec))
    console = Console()
    if planned.recipe.description:
        console.print(planned.recipe.description, highlight=False, markup=False)
    for line in funnel(planned.recipe):
        console.print(line, highlight=False, soft_wrap=True)
    preflight(planned, runs_dir)
    if not dry_run:
        sys.exit(_run(planned, runs_dir, out, console))


def _planned(
    recipe: Recipe | CurationRecipe, processes: int, where: str
) -> Plan[Recipe] | Plan[CurationRecipe]:
    """The stage of curation, and what it needs."""
    threads = recipe.execution.model_copy(update={"threads": processes})
    if isinstance(recipe, CurationRecipe):
        return plan_curation(recipe.model_copy(update={"execution": threads}))
    if recipe.problems is None or recipe.problems.curation is None:
        raise UserError(f"{where}: section `problems.curation` is missing; add it (it may be empty: {{}})")
    whole = plan(recipe)
    return replace(whole, stages=_needed(whole, STAGE))


def _needed(whole: Plan[Recipe], name: str) -> tuple[Stage, ...]:
    """The stage of that name and all that it depends on, in order."""
    wanted = {name}
    for stage in reversed(whole.stages):
        if stage.name in wanted:
            wanted |= set(stage.inputs.values())
    return tuple(stage for stage in whole.stages if stage.name in wanted)


def _run(
    planned: Plan[Recipe] | Plan[CurationRecipe], runs_dir: Path, out: Path | None, console: Console
) -> int:
    try:
        with Display(console) as display:
            folder = execute(planned, runs_dir, display) / planned.stage(STAGE).folder
    except StageFailed as error:
        console.print(f"{mark(False, console.encoding)[0]}{error}", highlight=False)
        console.print("Run the same command again to go on from here.")
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to go on from here.")
        return INTERRUPTED
    record = read_json(folder / CURATION)
    table = Table("rule", "left out", "left", box=None)
    for step in record["funnel"]:
        table.add_row(step["rule"], f"{step['removed']:,}", f"{step['left']:,}")
    console.print(table)
    page = folder.parent / PAGE
    write_page(record, planned.recipe.name, page)
    problems = folder / PROBLEMS
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(problems, out)
        problems = out
    console.print(f"{problems}: {record['samples']:,} rows; {page}", highlight=False, soft_wrap=True)
    return 0
