"""`tessy lexicon`: proposes phrases for the lexicon annotator from existing thinkings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tessy.artifacts import read_rows
from tessy.boundary.proposals import propose
from tessy.errors import UserError


@click.command(
    "lexicon",
    epilog="""\b
Examples:
  tessy lexicon runs/mini/annotations-student-*/
  tessy lexicon runs/mini/annotations-teacher-*/ --limit 40 > mine.txt
""",
)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--limit", default=100, show_default=True, help="Phrases proposed.")
@click.option("--minimum", default=5, show_default=True, help="How often a phrase must open a sentence.")
def lexicon_command(sources: tuple[Path, ...], limit: int, minimum: int) -> None:
    """Propose style phrases from SOURCES: artifacts of `annotate` or `synthesize`, or Parquet files with a
    column `text` or `spans`.

    The output is a lexicon whose comments give the reason for each phrase. Review it and delete phrases
    that are content: a phrase is style only if the solution works without it.
    """
    texts = [text for source in sources for text in thinkings(source)]
    click.echo(f"# Proposed from {len(texts)} thinkings. Strike what carries content.")
    for one in propose(texts, limit, minimum):
        click.echo(
            f"# z {one.z:.1f}: opens {one.at_start} sentences, occurs {one.in_all} times\n{one.phrase}"
        )


def thinkings(source: Path) -> Iterator[str]:
    """Every thinking in a Parquet file, or in an artifact folder's files of whole thinkings."""
    files = [source]
    if source.is_dir():
        files = sorted(f for f in source.rglob("*.parquet") if f.stem in ("thinkings", "trajectories"))
    if not files:
        raise UserError(f"{source}: no thinkings.parquet or trajectories.parquet in it")
    for file in files:
        for row in read_rows(file):
            yield _thinking(row, file)


def _thinking(row: Mapping[str, Any], file: Path) -> str:
    if "spans" in row:
        return "".join(s["text"] for s in row["spans"] if s["kind"] in ("style", "capability", "thinking"))
    if "text" in row:
        return str(row["text"])
    raise UserError(f"{file}: has neither a column `spans` nor `text`; columns: {', '.join(row)}")
