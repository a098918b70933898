"""The command line. It may import every package, each only when its command is used."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from tessy import processes, terminal
from tessy.errors import UserError

ELSEWHERE = {
    "bench": "tessy.bench.command:bench_command",
    "curate": "tessy.commands.curate:curate_command",
    "diagnose": "tessy.commands.diagnose:diagnose_command",
    "diagnose-runs": "tessy.commands.diagnose_runs:diagnose_runs_command",
    "export": "tessy.commands.share:export_command",
    "from-gguf": "tessy.commands.from_gguf:from_gguf_command",
    "inspect": "tessy.commands.inspect:inspect_command",
    "inspect-format": "tessy.commands.inspect_format:inspect_format_command",
    "judge": "eval.judge.command:judge_command",
    "launch": "tessy.commands.launch:launch_command",
    "lexicon": "tessy.commands.lexicon:lexicon_command",
    "publish": "tessy.commands.share:publish_command",
    "status": "tessy.commands.status:status_command",
}
"""Commands that live in another room, imported when they are asked for."""


class _Commands(click.Group):
    """Imports other packages' commands when used; reports a `UserError` as a message with status 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, name = ELSEWHERE[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        processes.prepare()
        terminal.forgive()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="tessy")
def main() -> None:
    """Teach a reasoning model with a stronger teacher's data without making it worse."""


_recipe = click.argument("recipe", type=click.Path(path_type=Path))
_overrides = click.argument("overrides", nargs=-1, metavar="[SECTION.KEY=VALUE]...")
_runs_dir = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where results go.",
)
_sizes = click.option(
    "--sizes",
    type=click.Choice(["tiny"]),
    help="Cut RECIPE short: tiny random models, few problems and tokens, in the process, on the CPU.",
)


@main.command(
    epilog="""\b
Examples:
  tessy run recipes/mini.yaml
  tessy run recipes/mini.yaml train.learning_rate=5e-4 --runs-dir /data/runs
  tessy run recipes/one-gpu/lora-80gb.yaml --sizes tiny
"""
)
@_recipe
@_overrides
@_runs_dir
@_sizes
def run(recipe: Path, overrides: tuple[str, ...], runs_dir: Path, sizes: str | None) -> None:
    """Run RECIPE: synthesize, train, evaluate, report.

    Finished stages of earlier runs are reused; an interrupted run resumes where it stopped. Results
    are in RUNS_DIR/<recipe name>/report/.
    """
    from tessy.commands.run import run_recipe

    sys.exit(run_recipe(recipe, overrides, runs_dir, tiny=sizes == "tiny"))


@main.command(
    epilog="""\b
Examples:
  tessy plan recipes/mini.yaml
  tessy plan recipes/mini.yaml train.epochs=2
"""
)
@_recipe
@_overrides
@_runs_dir
@_sizes
def plan(recipe: Path, overrides: tuple[str, ...], runs_dir: Path, sizes: str | None) -> None:
    """Show what `run` would do: for every stage, reuse it or run it, and why."""
    from tessy.commands.run import show_plan

    show_plan(recipe, overrides, runs_dir, tiny=sizes == "tiny")


@main.command(
    epilog="""\b
Examples:
  tessy sweep recipes/sweeps/learning-rate.yaml
  tessy sweep recipes/sweeps/exposure.yaml --runs-dir /data/runs --at-once 4

\b
The same file with W&B's server, on several machines:
  wandb sweep recipes/sweeps/learning-rate.yaml
  wandb agent SWEEP_ID
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@_runs_dir
@click.option("--at-once", type=click.IntRange(min=1), default=1, show_default=True, help="Points at once.")
def sweep(file: Path, runs_dir: Path, at_once: int) -> None:
    """Run a recipe at every point of the grid in FILE, a W&B sweep configuration; no server is needed.

    Points share the artifacts they do not change, and finished work is not repeated. Results are in
    RUNS_DIR/<recipe name>/sweep-<name>/. A point that fails does not stop the others; the status is then 1.
    """
    from tessy.commands.sweep import run_sweep

    sys.exit(run_sweep(file, runs_dir, at_once))


@main.command(
    epilog="""\b
Example, on a second machine that shares the folder with the one that runs the recipe:
  tessy join runs/cluster/synthesize-tessy-0123456789ab.partial
"""
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def join(folder: Path) -> None:
    """Help with the unfinished stage in FOLDER, a `.partial` folder of an active run: synthesis, annotation,
    evaluation or lm-eval.

    Samples are claimed one by one, so no work is done twice; a process that joined may leave at any time.
    The run that started the stage collects the results.
    """
    from tessy.runtime.job import join as help_with

    help_with(folder)


@main.command()
def doctor() -> None:
    """Show what this machine lacks, and the command that installs it."""
    from tessy.commands.doctor import examine

    sys.exit(examine())


if __name__ == "__main__":
    main()
