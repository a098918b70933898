"""`tessy diagnose`: what a training set would ask of a student, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from tessy.commands.diagnosis_options import Options, model_of
from tessy.config.models import Format

FORMATS = [name for name in get_args(Format) if name != "gpt_oss"]
"""gpt-oss, too, is found by `auto`; by its name it would need more settings."""


@click.command(
    "diagnose",
    epilog="""\b
Examples:
  tessy diagnose runs/mini/synthesize-teacher_only-*/ --student runs/mini/model-student-*/ --lexicon miniature
  tessy diagnose traces.jsonl --student ./Qwen3-8B --samples 64 --out diagnosis
  tessy diagnose traces.jsonl --student ./Qwen3-8B --own diagnosis/own/trajectories.parquet
""",
)
@click.argument("dataset")
@click.option("--student", required=True, help="Checkpoint folder, artifact with a model, or hub id.")
@click.option("--revision", help="Pins a hub id to a commit.")
@click.option(
    "--format", "form", default="auto", type=click.Choice(FORMATS), help="The student's chat format."
)
@click.option("--own", help="The student's own traces; without, it writes them, to the same prompts.")
@click.option(
    "--lexicon", default="english", show_default=True, help="What is style: a lexicon's name or file."
)
@click.option("--predictor", type=click.Path(exists=True, path_type=Path), help="... or a trained predictor.")
@click.option("--samples", default=200, show_default=True, type=click.IntRange(2), help="Responses read.")
@click.option("--own-samples", default=64, show_default=True, type=click.IntRange(2), help="Own traces.")
@click.option("--max-tokens", default=4096, show_default=True, help="Longest of its own traces.")
@click.option(
    "--engine", default="transformers", type=click.Choice(["transformers", "vllm"]), help="Writes them."
)
@click.option("--temperature", default=0.6, show_default=True, type=click.FloatRange(0, 2))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--out", default=Path("diagnosis"), show_default=True, type=click.Path(path_type=Path))
def diagnose_command(dataset: str, out: Path, **options: Any) -> None:
    """Compare DATASET with the student's own traces: what training on it would have to change.

    DATASET is an artifact with trajectories, or a table of others: messages, ShareGPT conversations, dialogs,
    prompt and response, as JSON Lines, Parquet or a folder. Written to OUT: index.html, diagnosis.json, and
    the student's own traces. The same command goes on where it was interrupted.
    """
    asked = Options(**options)
    model_of(asked)  # Before anything is imported that takes long.
    from tessy.commands.diagnosing import diagnose
    from tessy.report.diagnosis import write_diagnosis

    found = diagnose(dataset, out, asked)
    page = write_diagnosis(found, out)
    for line in said(asdict(found.contents)):
        click.echo(line)
    click.echo(f"page: {page}")


def said(found: Mapping[str, Any]) -> Sequence[str]:
    """A diagnosis in a few lines for the terminal."""
    lines = [
        f"{found['dataset']} for {found['student']}: {found['set']['responses']} of {found['rows']} responses"
    ]
    lines += [f"  {times} rows left out: {why}" for why, times in found["left_out"].items()]
    lines.append(f"  {'nll per token':<14}{'set':>8}{'own':>8}{'gap':>8}   95 % interval")
    for part, gap in found["gaps"].items():
        one, own, more = gap["found"]["nll"], gap["own"]["nll"], gap["difference"]
        numbers = "".join(f"{value:8.3f}" for value in (one["value"], own["value"], more["value"]))
        lines.append(f"  {part:<14}{numbers}   {more['low']:.3f} to {more['high']:.3f}")
    for phrase in found["phrases"][:5]:
        how = f"{phrase['times']} times, {phrase['nll']:.2f} nats/token"
        lines.append(f"  surprising style, {how}: {phrase['text'][:60]}")
    return lines
