"""Time and memory of bringing a given set into a student's format.

    python -m tessy.bench.importing TOKENIZER FOLDER --rows 80000 --tokens 15000

makes a set of so many rows as TESSY's authors lay theirs out, and runs the stage `given` on it as a run does.
Rows are cut at random from the source of Python's standard library: real text, made cheaply.

Not covered: marking spans with a predictor.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tessy.artifacts import read_json, write_json
from tessy.config.execution import Execution, Tracking
from tessy.config.given import GivenTraces
from tessy.config.models import ModelReference
from tessy.layout import SYNTHESIS, TRAJECTORIES
from tessy.processes import python_module
from tessy.runtime.job import JOB, Spec
from tessy.runtime.run import environment
from tessy.sharing.files import write_lines
from tessy.stages.given import KIND, GivenStage

POOL = 32 << 20
"""Characters that rows are cut from."""
LETTERS_PER_TOKEN = 3.4
"""About, in Python code with Qwen's vocabulary; the mean length is measured."""


@click.command()
@click.argument("tokenizer", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rows", default=80_000, show_default=True)
@click.option("--tokens", default=15_000, show_default=True, help="About, per row.")
def measure(tokenizer: Path, folder: Path, rows: int, tokens: int) -> None:
    """Measure the import of a made-up set for the student whose TOKENIZER it is, in FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"set-{rows}-{tokens}.jsonl.zst"
    if not source.exists():
        write_set(source, rows, tokens)
    partial = folder / f"import-{time.time_ns()}.partial"
    partial.mkdir()
    config = GivenStage(
        given=GivenTraces(name="bench", source=str(source)),
        student=ModelReference(source=str(tokenizer), format="qwen3"),
        max_length=1 << 20,
    )
    spec = Spec(
        recipe="bench",
        name="synthesize-bench",
        kind=KIND.declared,
        fingerprint="0" * 12,
        config=config.plain,
        inputs={},
        execution=Execution(tracking=Tracking(wandb="disabled")),
    )
    write_json(partial / JOB, spec.plain)
    began = time.monotonic()
    subprocess.run(python_module("tessy.runtime.job", str(partial)), check=True, env=environment(1))
    seconds = time.monotonic() - began
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = partial.with_suffix("")
    summary = read_json(made / SYNTHESIS)
    size = (made / TRAJECTORIES).stat().st_size
    figures = {
        "rows": summary["rows"],
        "traces": summary["trajectories"],
        "mean_tokens": round(summary["mean_tokens"]),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "rows_per_second": round(summary["rows"] / seconds, 1),
        "peak_memory_mib": usage.ru_maxrss >> 10,
        "cores": len(os.sched_getaffinity(0)),
        "source_mib": source.stat().st_size >> 20,
        "artifact_mib": size >> 20,
    }
    click.echo(json.dumps(figures))


def write_set(path: Path, rows: int, tokens: int) -> None:
    """Write rows in the authors' layout, a tenth of each its answer."""
    text, draw = "".join(_texts()), random.Random(0)
    length = round(tokens * LETTERS_PER_TOKEN)

    def row(number: int) -> dict[str, Any]:
        at = draw.randrange(len(text) - length)
        thinking, answer = text[at : at + length * 9 // 10], text[at + length * 9 // 10 : at + length]
        said = f"<think>\n{thinking}\n</think>\n\n{answer}"
        return {
            "id_ddm": number,
            "dialogs": [
                {"role": "user", "content": text[at : at + 400]},
                {"role": "assistant", "content": said},
            ],
        }

    write_lines(path, map(row, range(rows)))


def _texts() -> Iterator[str]:
    """The standard library, up to `POOL` characters. What looks like a marker is taken out."""
    left = POOL
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        text = file.read_text(encoding="utf-8", errors="ignore").replace("<", "(")
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


if __name__ == "__main__":
    sys.exit(measure())
