"""The stage `sft`: fine-tunes the student, or the model given in its place, on one method's trajectories."""

from __future__ import annotations

from collections.abc import Iterator

from tessy.config.base import Seed, part
from tessy.config.execution import Execution
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.config.train import Training
from tessy.machine import machine
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import local, model_faults, training_package_faults


class SftStage(StageConfig):
    """How the model is trained, from which start, with which seed."""

    train: Training
    model: ModelReference
    seed: Seed

    @property
    def files(self) -> list[str]:
        start = [self.train.start.source] if self.train.start else []
        return local([*self.model.files, *start])

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from model_faults("models.student", self.model.source)
        if self.train.start:
            yield from model_faults("train.start", self.train.start.source)
        yield from training_package_faults(execution, self.train)
        spread = execution.train
        alone = execution.cluster.kind == "local" and spread.rendezvous is None
        if spread.nodes > 1 and alone and machine().gpus:
            yield (
                f"execution.train.nodes {spread.nodes}: on a local cluster all would use the same GPUs; "
                "name execution.cluster (slurm, ray), or give `rendezvous` and start the others by hand"
            )


KIND = Kind(
    "sft",
    SftStage,
    revision=3,
    declared=f"{__name__}:KIND",
    run="train.sft:run",
    preload=("train.sft",),
    on_device=True,
    needs=("models", "training"),
)


def plan(
    recipe: Recipe,
    graph: Graph,
    method: str,
    seed: int,
    trajectories: str,
    student: str | None,
    validation: str | None = None,
) -> str:
    """The stage that trains on one method's `trajectories`; `validation` are those of held-out problems."""
    config = SftStage(train=part(Training, recipe.train), model=reference(recipe.models.student), seed=seed)
    inputs = {"trajectories": trajectories, "model": student, "validation": validation}
    return graph.add(KIND, f"train-{method}-seed{seed}", config, inputs)
