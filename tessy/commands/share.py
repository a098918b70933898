"""`tessy export` and `tessy publish`: traces and models for others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from tessy.artifacts import manifest_of, read_parquet
from tessy.config.base import MINIATURE
from tessy.errors import UserError
from tessy.layout import TRAJECTORIES
from tessy.records import Trajectory
from tessy.sharing.files import Exported, export
from tessy.sharing.shapes import SHAPES, THINKING, Layout

CHECKED = 200


@click.command(
    "export",
    epilog="""\b
Examples:
  tessy export runs/mini/synthesize-tessy-*/ tessy.jsonl
  tessy export runs/mini/synthesize-tessy-*/ tessy.parquet --shape messages --thinking reasoning_content
  tessy export runs/mini/synthesize-tessy-*/ tessy.jsonl.zst --shape sharegpt --tags user assistant
  tessy export runs/mini/synthesize-tessy-*/ tessy.jsonl --shape alpaca
""",
)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--shape", type=click.Choice(SHAPES), default="messages", show_default=True, help="Of a row.")
@click.option(
    "--thinking",
    type=click.Choice(THINKING),
    default="content",
    show_default=True,
    help="Where thinking stands: in the content, between the template's markers, or in a field of its own.",
)
@click.option(
    "--tags",
    nargs=2,
    default=("human", "gpt"),
    show_default=True,
    help="What ShareGPT's turns call their authors; TRL wants user and assistant.",
)
@click.option("--tokenizer", help="A folder or hub id for the check; by default that of the run's student.")
@click.option(
    "--check",
    type=click.IntRange(0),
    default=CHECKED,
    show_default=True,
    help="Render so many rows by the student's chat template and compare with the ids that are trained on.",
)
def export_command(
    source: Path,
    file: Path,
    shape: Any,
    thinking: Any,
    tags: tuple[str, str],
    tokenizer: str | None,
    check: int,
) -> None:
    """Write the finished traces of SOURCE, an artifact with trajectories, to FILE for other tools.

    FILE ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet. Traces that did not finish are left out and
    counted.
    """
    layout = Layout(shape, thinking, tags)
    if not (source / TRAJECTORIES).exists():
        raise UserError(f"{source}: no {TRAJECTORIES} in it; name the artifact of a synthesis stage")
    words = _tokenizer(source, tokenizer) if check else None
    if check and words is None:
        click.echo("ids not checked: no chat template at hand (--tokenizer names one)", err=True)
    with _progress(source) as progress:
        rows = read_parquet(source / TRAJECTORIES, Trajectory)
        done = export(rows, file, layout, words, check, progress)
    _say(done, file)


def _say(done: Exported, file: Path) -> None:
    click.echo(f"{done.rows:,} traces in {file}")
    for reason, times in done.left_out.most_common():
        click.echo(f"{times:,} left out: {reason}")
    if done.checked:
        click.echo(
            f"{done.same_ids} of {done.checked} have the ids that are trained on, by the student's chat "
            "template and tokenizer"
        )
        if done.same_ids < done.checked:
            click.echo(
                "the others say the same in other ids: their models drew tokens that no tokenizer would"
            )


@contextmanager
def _progress(source: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    total = pq.read_metadata(source / TRAJECTORIES).num_rows
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("export", total=total)
        yield lambda done: shown.update(task, completed=done)


def _tokenizer(source: Path, named: str | None) -> Any:
    """The student's tokenizer, if it has a chat template and is at hand."""
    place = named or _student(source)
    if place is None:
        return None
    from tessy.chat import load_tokenizer

    try:
        words = load_tokenizer(place)
    except (OSError, ValueError) as error:
        if named:
            raise UserError(f"--tokenizer {named}: cannot be loaded: {error}") from None
        return None
    return words if words.chat_template else None


def _student(source: Path) -> str | None:
    manifest = manifest_of(source) or {}
    folder = manifest.get("inputs", {}).get("student")
    if folder and (source.resolve().parent / folder / "model").exists():
        return str(source.resolve().parent / folder / "model")
    config = manifest.get("config", {})
    model = config.get("student") or config.get("models", {}).get("student") or {}
    place = model.get("source")
    return place if place and place != MINIATURE else None


@click.command(
    "publish",
    epilog="""\b
Examples:
  tessy publish runs/mini/synthesize-tessy-*/ me/tessy-traces --dry-run build/
  HF_TOKEN=... tessy publish runs/mini/synthesize-tessy-*/ me/tessy-traces --licence apache-2.0
  HF_TOKEN=... tessy publish runs/mini/train-tessy-seed0-*/ me/tessy-8b --dataset me/tessy-traces --private
""",
)
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option(
    "--dry-run",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the repository to this folder and upload nothing.",
)
@click.option("--licence", default="", help="Of what is published, by the hub's names (apache-2.0, mit ...).")
@click.option(
    "--dataset", "datasets", multiple=True, help="A published data set that the model was trained on."
)
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--message", default="Upload with tessy publish", show_default=True, help="Of the commit.")
def publish_command(
    source: Path,
    repository: str,
    folder: Path | None,
    licence: str,
    datasets: tuple[str, ...],
    private: bool,
    message: str,
) -> None:
    """Publish SOURCE, the artifact of a training set or a model, as OWNER/NAME on the hub.

    The card is made from the run's manifests and its report: method, models and their licences, counts,
    failures, scores with intervals, lineage and command. The hub's token is taken from HF_TOKEN or from
    `hf auth login`. With --dry-run nothing is uploaded, and the hub is not asked.
    """
    from tessy.sharing.publishing import stage_repository, upload

    if repository.count("/") != 1 or not all(repository.split("/")):
        raise UserError(f"repository {repository!r}: name it OWNER/NAME")
    if folder is not None:
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"--dry-run {folder}: it is not empty; name a new folder")
        kind = stage_repository(source, folder, repository, licence=licence, datasets=datasets, ask_hub=False)
        click.echo(f"the {kind} repository {repository} is in {folder}; nothing was uploaded")
        return
    with tempfile.TemporaryDirectory(dir=source.resolve().parent, prefix=".publish-") as staged:
        place = Path(staged)
        kind = stage_repository(source, place, repository, licence=licence, datasets=datasets, ask_hub=True)
        click.echo(upload(place, repository, kind, private=private, message=message))
