"""A stage whose work is scripted traces: shared like synthesis, without models and the libraries that run
them, which take seconds to import."""

from __future__ import annotations

import asyncio
import time

from scripted import assignment, samples

from tessy.artifacts import write_json
from tessy.config.execution import Execution
from tessy.runtime.job import Job, Spec
from tessy.runtime.stage import Kind, StageConfig
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.scheduler import Schedule, write_all

TRACES = "traces.json"
JOURNAL = "scripted"


class ScriptedStage(StageConfig):
    count: int
    pause_s: float = 0.0
    """How long a worker rests after each response, so that a test can do something in the middle."""


KIND = Kind(
    "scripted", ScriptedStage, 1, "scripted_stage:KIND", run="scripted_stage:run", join="scripted_stage:drain"
)


def spec_of(config: ScriptedStage, execution: Execution) -> Spec:
    return Spec(
        recipe="r",
        name="scripted",
        kind=KIND.declared,
        fingerprint="x",
        config=config.plain,
        inputs={},
        execution=execution,
    )


def run(job: Job[ScriptedStage]) -> None:
    if job.works:
        drain(job)
    ids = [sample.sample_id for sample in samples(job.config.count)]
    with _journal(job) as journal:
        while not journal.is_complete(ids):
            assert job.workers is not None
            job.workers.check()
            job.progress(journal.finished(), len(ids), "responses", job.workers.describe())
            time.sleep(0.2)
        write_json(job.out / TRACES, list(journal.rows(ids)))


def drain(job: Job[ScriptedStage]) -> None:
    everything = samples(job.config.count)
    with _journal(job) as journal:
        asyncio.run(write_all(everything, assignment(3), journal, Schedule(16, 30), Meters()))


def _journal(job: Job[ScriptedStage]) -> Journal:
    class Slow(Journal):
        def finish(self, sample_id: str, row: dict[str, object]) -> None:
            super().finish(sample_id, row)
            time.sleep(job.config.pause_s)

    folder = job.work / f"{JOURNAL}.journal"
    return Slow(folder, job.claims(folder))
