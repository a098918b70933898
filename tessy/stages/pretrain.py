"""The stage `pretrain`: a miniature student or teacher, trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tessy.config.base import MINIATURE, Seed
from tessy.config.models import Pretraining
from tessy.config.recipe import Recipe
from tessy.records import Role
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.world import load_world


class PretrainStage(StageConfig):
    """The model's role, size and training."""

    role: Role
    pretraining: Pretraining
    seed: Seed


KIND = Kind(
    "pretrain",
    PretrainStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    preload=("tessy.miniature.pretrain",),
    needs=("models",),
    weight=10,
)


def plan(recipe: Recipe, graph: Graph, role: Role, world: str | None) -> str | None:
    """The stage that trains `role`'s model, if that is the miniature's."""
    model = recipe.models.student if role == "student" else recipe.models.teacher
    if model is None or model.source != MINIATURE or model.pretraining is None:
        return None
    config = PretrainStage(role=role, pretraining=model.pretraining, seed=recipe.seed)
    return graph.add(KIND, f"model-{role}", config, {"world": world})


def prompts(world: Path, role: Role, settings: Pretraining, seed: int) -> Iterator[str]:
    """The user's messages in a model's pre-training; `world` is the artifact of the stage `world`."""
    from tessy.miniature.traces import pretraining_traces

    for trace in pretraining_traces(role, load_world(world), settings.documents, seed):
        yield trace.prompt


def run(job: Job[PretrainStage]) -> None:
    from tessy.miniature.pretrain import pretrain

    config = job.config

    def on_progress(done: int, total: int, loss: float) -> None:
        job.progress(done, total, "steps")
        if done % 20 == 0 or done == total:
            job.tracker.log({"pretrain/loss": loss}, step=done)

    pretrain(
        config.role,
        load_world(job.inputs["world"]),
        config.pretraining,
        job.out / "model",
        job.execution.threads,
        on_progress,
        seed=config.seed,
    )
