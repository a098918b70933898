"""Predictors named by their place on a hub, as the published ones are: fetched, pinned, put on record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import training_stage
from jobs import MODELS
from predictor_model import WORDS, make_predictor

from tessy.artifacts import read_json, read_parquet, write_json, write_parquet
from tessy.boundary.operating_point import OperatingPoint, write_operating_point
from tessy.config.base import Sampler
from tessy.config.execution import Execution, Tracking
from tessy.config.switches import CheckpointsSwitch
from tessy.config.synthesis import ChunkTokens, Cooperation
from tessy.records import Problem, Trajectory
from tessy.runtime.job import JOB, Spec
from tessy.stages.synthesize import KIND, SynthesizeStage
from tests.hub import Hub

STUDENT, TEACHER = (f"CoopReason/Boundary_Predictor_{role}_Code" for role in ("Student", "Teacher"))
WINDOW = 32
RUN = """
import sys
from pathlib import Path
from tessy.runtime.job import run
for folder in sys.argv[1:]:
    run(Path(folder))
"""


@dataclass(frozen=True)
class World:
    """Folders of predictors by commit, each repository's older one without a `predictor.json`."""

    hub: Hub
    folder: Path
    commits: dict[str, tuple[str, str]]

    def synthesized(self, **switched: tuple[Any, Any]) -> list[Path]:
        """The artifacts of real stages, one after the other, by name; in a process that knows no other hub.
        Each is told where its student's and its teacher's predictor are."""
        partial = [self._described(name, *named) for name, named in switched.items()]
        self.hub.run(RUN, self.folder / "cache", *map(str, partial))
        return [folder.with_suffix("") for folder in partial]

    def _described(self, name: str, student: Any, teacher: Any) -> Path:
        config = SynthesizeStage(
            method="tessy",
            models=MODELS,
            engines={},
            synthesis=Cooperation(
                max_tokens=60,
                sampler=Sampler(temperature=1.0),
                chunk_tokens=ChunkTokens(student=8, teacher=8),
                switch=CheckpointsSwitch(
                    kind="checkpoints", student=student, teacher=teacher, window_tokens=WINDOW
                ),
            ),
            seed=0,
        )
        spec = Spec(
            recipe="test",
            name=name,
            kind=KIND.declared,
            fingerprint="0",
            config=config.plain,
            inputs={"problems": "problems-x", "student": "model-student-x", "teacher": "model-student-x"},
            execution=Execution(tracking=Tracking(wandb="disabled")),
        )
        partial = self.folder / f"{name}-0.partial"
        partial.mkdir()
        write_json(partial / JOB, spec.plain)
        return partial

    def times_asked(self, repository: str, revision: str, file: str) -> int:
        return self.hub.asked.count(f"HEAD /{repository}/resolve/{revision}/{file}")


@pytest.fixture
def world(hub: Hub, tmp_path: Path) -> World:
    training_stage.make_inputs(tmp_path)
    problems = [Problem(f"p{n}", " ".join(WORDS[n : n + 3])) for n in range(6)]
    write_parquet(tmp_path / "problems-x" / "problems.parquet", problems, "t", "t")
    commits = {}
    for number, repository in enumerate((STUDENT, TEACHER)):
        folders = [tmp_path / f"{number}-{age}" for age in ("old", "new")]
        for seed, folder in enumerate(folders):
            make_predictor(folder, seed=2 * number + seed, dtype="bfloat16")
        write_operating_point(folders[1], OperatingPoint(0.3, WINDOW))
        commits[repository] = tuple(hub.publish("models", repository, folder) for folder in folders)
    return World(hub, tmp_path, commits)


def spans(artifact: Path) -> list[list[tuple[str, str]]]:
    traces = read_parquet(artifact / "trajectories.parquet", Trajectory)
    return [[(span.author, span.text) for span in trace.spans] for trace in traces]


@pytest.mark.slow
def test_published_predictors_are_fetched_used_and_put_on_record(world: World) -> None:
    """The student's at whatever is newest, the teacher's pinned to what is not."""
    (old_student, new_student), (old_teacher, _) = world.commits[STUDENT], world.commits[TEACHER]
    named = {"source": STUDENT}, {"source": TEACHER, "revision": old_teacher}
    local = {"source": str(world.folder / "0-new")}, {"source": str(world.folder / "1-old")}
    first, by_folder, _ = world.synthesized(first=named, local=local, second=named)
    manifest = read_json(first / "manifest.json")
    assert manifest["commits"] == {f"{STUDENT}@main": new_student}
    assert manifest["used"]["predictors"] == {
        "checkpoint Boundary_Predictor_Student_Code": {
            "student": {"threshold": 0.3, "window_tokens": WINDOW},
            "teacher": {"threshold": 0.5, "window_tokens": WINDOW},
        }
    }
    assert spans(first) == spans(by_folder)
    assert world.times_asked(STUDENT, new_student, "predictor.json") == 1
    assert world.times_asked(TEACHER, old_teacher, "predictor.json") == 1
    # A name is looked up once in each stage, and what is loaded is not asked for by name.
    assert world.hub.asked.count(f"GET /api/models/{STUDENT}") == 2
    assert not [asked for asked in world.hub.asked if "/main" in asked]
    assert not [asked for asked in world.hub.asked if old_student in asked]
