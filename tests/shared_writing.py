"""A stage that only writes: scripted authors, shared by any number of processes (`stage_at`).

Its workers load no torch, so they begin at once; `pause_s` slows them down, so that there is a middle.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tessy.artifacts import write_json
from tessy.claims import Claims
from tessy.config.cluster import AnyCluster, LocalCluster
from tessy.config.execution import Execution, Tracking
from tessy.errors import UserError
from tessy.runtime.job import JOB, Job, Spec
from tessy.runtime.stage import Kind, StageConfig
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.scheduler import Schedule, write_all
from tests.scripted import assignment, samples

TRACES = "traces.json"


class WritingStage(StageConfig):
    count: int
    pause_s: float = 0.0
    """How long a worker rests after each response."""
    refused: bool = False
    """Whether whoever joins refuses its input."""


KIND = Kind("writing", WritingStage, 1, f"{__name__}:KIND", run=f"{__name__}:run", join=f"{__name__}:run")


def run(job: Job[WritingStage]) -> None:
    if job.shared and job.config.refused:
        raise UserError("temperature: 9: at most 2; lower it")
    asked, folder = samples(job.config.count), job.work / "traces.journal"
    ids = [sample.sample_id for sample in asked]
    with Resting(folder, job.claims(folder), pause_s=job.config.pause_s) as journal:
        if job.works:
            asyncio.run(write_all(asked, assignment(3), journal, Schedule(16, 30), Meters()))
        else:
            from tessy.generation.writing import wait_for_workers

            wait_for_workers(job, journal, ids, "responses")
        write_json(job.out / TRACES, list(journal.rows(ids)))


class Resting(Journal):
    """A journal whose owner rests after each response."""

    def __init__(self, folder: Path, claims: Claims | None, *, pause_s: float) -> None:
        super().__init__(folder, claims)
        self._pause_s = pause_s

    def finish(self, sample_id: str, row: dict[str, Any]) -> None:
        super().finish(sample_id, row)
        time.sleep(self._pause_s)


def stage_at(
    run_folder: Path, config: WritingStage, workers: int = 1, cluster: AnyCluster | None = None
) -> Path:
    """The `.partial` folder of such a stage, ready for `tessy.runtime.job.run`, in the folder of a run."""
    folder = run_folder / "writing-0123456789ab.partial"
    folder.mkdir(parents=True)
    spec = Spec(
        recipe="r",
        name="writing",
        kind=KIND.declared,
        fingerprint="0123456789ab",
        config=config.plain,
        inputs={},
        execution=Execution(
            workers=workers, cluster=cluster or LocalCluster(), tracking=Tracking(wandb="disabled")
        ),
    )
    write_json(folder / JOB, spec.plain)
    return folder


def traces(partial: Path) -> bytes:
    """What the finished stage holds, byte for byte."""
    return (partial.with_suffix("") / TRACES).read_bytes()
