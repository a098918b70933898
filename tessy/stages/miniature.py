"""The miniature's two stages: make the world and its files, and pre-train a model in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from tessy.artifacts import write_json, write_parquet
from tessy.miniature.contests import write_livecodebench_pro, write_ojbench, write_ood
from tessy.miniature.world import LANGUAGES, World, WorldConfig
from tessy.pipeline.job import Job

PROBLEMS = "problems.parquet"
WORLD = "world.json"
OOD = "ood.jsonl"
CONTESTS = {"ojbench": "contests/ojbench", "livecodebench_pro": "contests/livecodebench_pro"}
TRAIN_CONTESTS = {kind: f"train_{folder}" for kind, folder in CONTESTS.items()}


def make_world(job: Job) -> None:
    """Training prompts, contests on disk in the official formats, the out-of-domain test.

    The training problems are written as contests, too, so that synthesised traces can be judged.
    """
    import shutil

    for folder in ("contests", "train_contests"):
        shutil.rmtree(job.out / folder, ignore_errors=True)
    world = World.build(WorldConfig(**job.config["world"]), job.config["seed"])
    write_json(job.out / WORLD, {"world": job.config["world"], "seed": job.config["seed"]})
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


def pretrain_model(job: Job) -> None:
    """Train a miniature student or teacher from scratch."""
    from tessy.miniature.pretrain import PretrainConfig, pretrain

    ((role, model),) = job.config["models"].items()
    config = PretrainConfig(**model["pretraining"], seed=job.config["seed"])
    world = load_world(job.inputs["world"])

    def on_progress(done: int, total: int, loss: float) -> None:
        job.progress(done, total, "steps")
        if done % 20 == 0 or done == total:
            job.tracker.log({"pretrain/loss": loss}, step=done)

    pretrain(role, world, config, job.out / "model", job.execution["threads"], on_progress)
