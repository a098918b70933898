"""`tessy diagnose-runs`: how well the gap predicted what training did, over finished runs."""

from __future__ import annotations

from pathlib import Path

import click

from tessy.errors import UserError


@click.command(
    "diagnose-runs",
    epilog="""\b
Examples:
  tessy diagnose-runs runs/mini --lexicon miniature
  tessy diagnose-runs runs/mini --lexicon miniature --samples 100 --out gaps
""",
)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--lexicon", default="english", show_default=True, help="What is style: a lexicon's name or file."
)
@click.option(
    "--samples", default=200, show_default=True, type=click.IntRange(2), help="Responses read of a set."
)
@click.option("--own-samples", default=64, show_default=True, type=click.IntRange(2), help="Own traces.")
@click.option("--max-tokens", default=4096, show_default=True, help="Longest of the student's own traces.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--out", default=Path("diagnosis-runs"), show_default=True, type=click.Path(path_type=Path))
def diagnose_runs_command(
    folders: tuple[Path, ...],
    lexicon: str,
    samples: int,
    own_samples: int,
    max_tokens: int,
    seed: int,
    out: Path,
) -> None:
    """Diagnose every training set in FOLDERS of runs, and compare with what training on it did.

    A run counts if its student and its trained checkpoint were tested on the same benchmark. Runs that differ
    in their seed alone count as one. Written to OUT: index.html and predictions.json with Spearman's
    correlation of each gap and each benchmark's change, and a folder per set with its diagnosis; those that
    are there already are used again.
    """
    from tessy.commands.trained_runs import measured, trained_runs
    from tessy.diagnosis.prediction import over_seeds, predictions
    from tessy.report.diagnosis import write_predictions

    found = trained_runs(folders)
    if not found:
        raise UserError(f"{', '.join(map(str, folders))}: no training run there whose checkpoint was tested")
    options = {
        "lexicon": lexicon,
        "samples": samples,
        "own_samples": own_samples,
        "max_tokens": max_tokens,
        "seed": seed,
    }
    runs = over_seeds([measured(run, out, options) for run in found])
    said = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())
    command = f"tessy diagnose-runs {' '.join(map(str, folders))} {said}"
    shown = predictions(runs)
    page = write_predictions(runs, shown, command, out)
    for one in shown:
        c = one.correlation
        click.echo(
            f"{one.benchmark:<32}{one.gap:<12}{c.value:6.2f}   {c.low:.2f} to {c.high:.2f}   {one.runs} runs"
        )
    click.echo(f"page: {page}")
