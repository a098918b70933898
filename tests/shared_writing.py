"""A stage that only writes: scripted authors, shared by any number of processes (`stage_at`).

Its workers load no torch, so they begin at once; `PACE` slows them down, so that there is a middle.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tessy.artifacts import read_json, write_json
from tessy.config.cluster import AnyCluster, LocalCluster
from tessy.config.execution import Execution, Tracking
from tessy.engines.scripted import ScriptedEngine
from tessy.errors import UserError
from tessy.runtime.job import JOB, Job, Spec
from tessy.runtime.stage import Kind, StageConfig
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment
from tessy.synthesis.scheduler import Schedule, write_all
from tests.scripted import assignment, continuation, samples

PACE = "TEST_PACE_S"
"""Environment variable of workers: seconds before every continuation."""
TRACES = "traces.json"


class WritingStage(StageConfig):
    count: int
    refused: bool = False
    """Whether whoever joins refuses its input."""


KIND = Kind("writing", WritingStage, 1, f"{__name__}:KIND", run=f"{__name__}:run", join=f"{__name__}:run")


def run(job: Job[WritingStage]) -> None:
    if job.shared and job.config.refused:
        raise UserError("temperature: 9: at most 2; lower it")
    asked, folder = samples(job.config.count), job.work / "traces.journal"
    ids = [sample.sample_id for sample in asked]
    with Journal(folder, job.claims(folder)) as journal:
        if job.works:
            asyncio.run(write_all(asked, _slowed(), journal, Schedule(2, None), Meters()))
        else:
            from tessy.generation.writing import wait_for_workers

            wait_for_workers(job, journal, ids, "responses")
        write_json(job.out / TRACES, list(journal.rows(ids)))


def _slowed() -> Assignment:
    made, pace = assignment(4), float(os.environ.get(PACE, "0"))

    def script(ids: Sequence[int]) -> list[int]:
        time.sleep(pace)
        return continuation(ids)

    engine = ScriptedEngine(script)
    return replace(made, authors={role: replace(one, engine=engine) for role, one in made.authors.items()})


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


def traces(partial: Path) -> list[dict[str, Any]]:
    """What the finished stage holds."""
    found: list[dict[str, Any]] = read_json(partial.with_suffix("") / TRACES)
    return found
