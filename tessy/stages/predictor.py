"""The stage `predictor`: trains a boundary predictor on one model's annotated thinking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tessy.artifacts import read_json
from tessy.config.base import MINIATURE, MINIATURE_CONTEXT, Checkpoint, Seed, part
from tessy.config.execution import Execution
from tessy.config.predictors import PredictorTraining
from tessy.config.recipe import Recipe
from tessy.records import Role
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import local, model_faults


class PredictorStage(StageConfig):
    """Which role's text it classifies, its base model, and how it is trained."""

    role: Role
    base: Checkpoint
    """The watched model, unless the recipe names another."""
    predictors: PredictorTraining
    seed: Seed

    @property
    def files(self) -> list[str]:
        return local([self.base.source])

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from model_faults("predictors.base", self.base.source)
        window, longest = self.predictors.window_tokens, _context(self.base.source)
        if longest is not None and window > longest:
            held = f"model {self.base.source!r} of the {self.role}'s predictor holds {longest} tokens"
            yield f"predictors.window_tokens {window}: {held}; lower it"


KIND = Kind(
    "predictor",
    PredictorStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run="train.predictor:run",
    preload=("train.predictor",),
    on_device=True,
    needs=("models", "training"),
)


def plan(
    recipe: Recipe, graph: Graph, role: Role, models: Mapping[Role, str | None], annotations: str
) -> str:
    assert recipe.predictors is not None
    watched, named = recipe.models.of(role), recipe.predictors.base
    config = PredictorStage(
        role=role,
        base=named or Checkpoint(source=watched.source, revision=watched.revision),
        predictors=part(PredictorTraining, recipe.predictors),
        seed=recipe.seed,
    )
    inputs = {"annotations": annotations, "model": None if named else models[role]}
    return graph.add(KIND, f"predictor-{role}", config, inputs)


def _context(source: str) -> int | None:
    """The model's context length in tokens; None where its configuration is only on the hub."""
    if source == MINIATURE:
        return MINIATURE_CONTEXT
    config = Path(source) / "config.json"
    return read_json(config).get("max_position_embeddings") if config.is_file() else None
