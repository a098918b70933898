"""`tessy bench curation`: what the rules of curation find, and what they cost."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click


@click.group("curation")
def curation_command() -> None:
    """Measure the rules of curation: precision and recall, time and memory."""


@curation_command.command(
    epilog="""\b
Examples:
  tessy bench curation quality
  tessy bench curation quality --texts leetcode.jsonl --texts euler.jsonl
"""
)
@click.option(
    "--texts",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="JSON lines with `prompt`, perhaps `group`: real statements, besides HumanEval's.",
)
@click.option("--every", type=click.IntRange(min=1), default=1, help="Take every n-th statement.")
@click.option("--near", type=int, default=20, show_default=True, help="Alarms of each kind to show.")
def quality(texts: tuple[Path, ...], every: int, near: int) -> None:
    """Print tables of what every threshold finds of edited statements, and of its false alarms."""
    from tessy.bench.curation.tables import report

    for line in report(list(texts), every, near):
        click.echo(line)


@curation_command.command(
    epilog="""\b
Examples:
  tessy bench curation volume --rows 500000
  tessy bench curation volume --rows 20000 --folder /data/scratch
"""
)
@click.option("--rows", type=click.IntRange(min=1), default=500_000, show_default=True)
@click.option(
    "--statements", type=click.IntRange(min=1), default=2000, show_default=True, help="Of benchmarks."
)
@click.option("--processes", type=click.IntRange(min=1), help="As many as there are cores.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the rows here, and use them again.")
def volume(rows: int, statements: int, processes: int | None, folder: Path | None) -> None:
    """Apply all rules but model-based selection to invented rows; prints one JSON object."""
    from tessy.bench.curation.volume import cores, measure

    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        figures = measure(
            rows, statements, place, processes or cores(), lambda text: click.echo(text, err=True)
        )
    click.echo(json.dumps(figures, indent=2))
