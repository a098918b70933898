"""The stage `world`: the miniature contest's training prompts, contests on disk and out-of-domain test."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from tessy.artifacts import write_json, write_parquet
from tessy.config.base import Seed
from tessy.config.recipe import Recipe
from tessy.config.world import WorldConfig
from tessy.miniature.contests import write_livecodebench_pro, write_ojbench, write_ood
from tessy.miniature.files import CONTESTS, OOD, PROBLEMS, TRAIN_CONTESTS, WORLD
from tessy.miniature.world import LANGUAGES, World
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig


class WorldStage(StageConfig):
    """The world's parameters and seed."""

    world: WorldConfig
    seed: Seed


KIND = Kind("world", WorldStage, revision=1, declared=f"{__name__}:KIND", run=f"{__name__}:run")


def plan(recipe: Recipe, graph: Graph) -> str | None:
    """The stage, if anything in `recipe` comes from the miniature."""
    if recipe.world is None:
        return None
    return graph.add(KIND, "world", WorldStage(world=recipe.world, seed=recipe.seed))


def run(job: Job[WorldStage]) -> None:
    """Training prompts, contests in the official formats, the out-of-domain test.

    The training problems are written as contests, too, so that synthesised traces can be judged.
    """
    for folder in ("contests", "train_contests"):
        shutil.rmtree(job.out / folder, ignore_errors=True)
    world = World.build(job.config.world, job.config.seed)
    write_json(job.out / WORLD, {"world": job.config.world.plain, "seed": job.config.seed})
    training = {language: tuple(p for p in world.train if p.language == language) for language in LANGUAGES}
    for_training = dataclasses.replace(world, contests=training)
    for folders, source in ((CONTESTS, world), (TRAIN_CONTESTS, for_training)):
        write_ojbench(source, job.out / folders["ojbench"])
        write_livecodebench_pro(source, job.out / folders["livecodebench_pro"])
    write_ood(world, job.out / OOD)
    about = "Training prompts of the miniature contest."
    write_parquet(job.out / PROBLEMS, world.train, "miniature problems", about)


def load_world(artifact: Path) -> World:
    """The world of a finished `world` stage."""
    made: dict[str, Any] = json.loads((artifact / WORLD).read_text(encoding="utf-8"))
    return World.build(WorldConfig(**made["world"]), made["seed"])
