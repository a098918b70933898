"""The stage `teacher_mix` (Teacher-Mix): half of the responses are the teacher's, half are the student's.

Each sample takes the whole response of one author: with the samples sorted by a seeded hash, the first half
is the teacher's. So each problem occurs as often as in the two source sets, and the shares are equal before
unfinished responses drop out; those are counted by author.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from tessy.artifacts import read_parquet
from tessy.config.base import Seed
from tessy.config.recipe import Recipe
from tessy.layout import TRAJECTORIES
from tessy.records import ROLES, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.synthesize import write_set


class TeacherMixStage(StageConfig):
    """The seed that assigns samples to authors."""

    method: Literal["teacher_mix"] = "teacher_mix"
    seed: Seed


KIND = Kind("teacher_mix", TeacherMixStage, revision=1, declared=f"{__name__}:KIND", run=f"{__name__}:run")


def plan(recipe: Recipe, graph: Graph, sets: Mapping[Role, str]) -> str:
    """The stage that mixes `sets`, each written by one author alone."""
    return graph.add(KIND, "synthesize-teacher_mix", TeacherMixStage(seed=recipe.seed), by_name(sets))


def run(job: Job[TeacherMixStage]) -> None:
    authors = mixed(_sample_ids(job), job.config.seed)
    finished: Counter[str] = Counter()

    def chosen() -> Iterator[Trajectory]:
        sets = [read_parquet(job.inputs[role] / TRAJECTORIES, Trajectory) for role in ROLES]
        for pair in zip(*sets, strict=True):
            role = authors[pair[0].sample_id]
            trajectory = pair[ROLES.index(role)]
            finished[role] += trajectory.stop_reason == "finished"
            yield replace(trajectory, method=job.config.method)

    def by_author() -> dict[str, int]:
        return {f"finished_by_{role}": finished[role] for role in ROLES}

    write_set(job, job.config.method, chosen(), by_author)


def mixed(sample_ids: Sequence[str], seed: int) -> dict[str, Role]:
    """Which author's response each sample takes: half the teacher's, one more if their number is odd."""
    in_order = sorted(sample_ids, key=lambda one: hashlib.blake2b(f"{seed}/{one}".encode()).digest())
    half = (len(in_order) + 1) // 2
    return {one: "teacher" if place < half else "student" for place, one in enumerate(in_order)}


def _sample_ids(job: Job[TeacherMixStage]) -> list[str]:
    return [t.sample_id for t in read_parquet(job.inputs["student"] / TRAJECTORIES, Trajectory)]
