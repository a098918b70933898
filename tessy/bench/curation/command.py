"""`tessy bench curation`: what the rules of curation find, and what they cost."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from tessy.terminal import only_answers


@click.group("curation")
def curation_command() -> None:
    """Measure the rules of curation: precision and recall, time and memory."""


@curation_command.command(
    epilog="""\b
Examples:
  tessy bench curation quality
  tessy bench curation quality --texts leetcode.jsonl --texts euler.jsonl
  tessy bench curation quality --embedding checkpoints/all-MiniLM-L6-v2
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
@click.option("--embedding", help="A checkpoint or hub id: only what its vectors find.")
@click.option(
    "--max-tokens", type=click.IntRange(min=16), default=256, show_default=True, help="It reads at once."
)
@click.option(
    "--pairs", type=click.IntRange(min=1), default=1000, show_default=True, help="Of one topic, for vectors."
)
def quality(
    texts: tuple[Path, ...], every: int, near: int, embedding: str | None, max_tokens: int, pairs: int
) -> None:
    """Print tables of what every threshold finds of edited statements, and of its false alarms."""
    from tessy.bench.curation.tables import report, report_of_vectors

    lines = report(list(texts), every, near)
    if embedding is not None:
        from tessy.config.curation import Embedding
        from tessy.curate.embedding import Embedder
        from tessy.hub import commit_of
        from tessy.runtime.job import Source

        source = Source(embedding, commit_of(embedding, None))
        model = Embedder(source, Embedding(model=embedding, max_tokens=max_tokens))
        lines = report_of_vectors(list(texts), every, near, model, pairs)
    for line in lines:
        click.echo(line)


@curation_command.command(
    epilog="""\b
Examples:
  tessy bench curation volume --rows 500000
  tessy bench curation volume --rows 20000 --folder /data/scratch
  tessy bench curation volume --rows 10000 --datatrove-python /data/datatrove/bin/python
  tessy bench curation volume --rows 5000000 --arrays
"""
)
@click.option("--rows", type=click.IntRange(min=1), default=500_000, show_default=True)
@click.option(
    "--statements", type=click.IntRange(min=1), default=2000, show_default=True, help="Of benchmarks."
)
@click.option("--processes", type=click.IntRange(min=1), help="As many as there are cores.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the rows here, and use them again.")
@click.option(
    "--datatrove-python",
    help="An interpreter with datatrove and spacy installed: its MinHash on the same rows, too.",
)
@click.option("--arrays", is_flag=True, help="Only clusters and what stays, on invented signatures.")
def volume(
    rows: int,
    statements: int,
    processes: int | None,
    folder: Path | None,
    datatrove_python: str | None,
    arrays: bool,
) -> None:
    """Apply all rules but model-based selection to invented rows; prints one JSON object."""
    from tessy.bench.curation.volume import beside, cores, measure, measure_arrays

    def say(text: str) -> None:
        click.echo(text, err=True)

    with only_answers(), tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        if arrays:
            figures = measure_arrays(rows, place, say)
        else:
            figures = measure(rows, statements, place, processes or cores(), say)
            if datatrove_python is None:
                say("datatrove is left out; --datatrove-python PYTHON measures it beside")
            else:
                figures["datatrove"] = beside(
                    datatrove_python, rows, statements, place, processes or cores(), say
                )
    click.echo(json.dumps(figures, indent=2))
