"""The stage `instrument`: checks that the miniature measures what it should (`eval.instrument`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tessy.config.base import MINIATURE, Generation, Seed, part
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.records import ROLES, Role
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import engine_faults, local, sandbox_faults
from tessy.stages.serving import of_models


class InstrumentStage(StageConfig):
    """Which models answer, how, and which methods' traces are judged."""

    evaluate: Generation
    models: dict[Role, ModelReference]
    engines: dict[Role, Numerics]
    methods: list[str]
    seed: Seed

    @property
    def files(self) -> list[str]:
        return local(source for model in self.models.values() for source in model.files)

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from engine_faults(execution, ROLES)
        yield from sandbox_faults()

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterable[str]:
        return of_models(execution, inputs, self.models)


KIND = Kind(
    "instrument",
    InstrumentStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run="eval.instrument:run",
    preload=("eval.instrument",),
    on_device=True,
    needs=("models", "judging"),
)


def is_miniature(recipe: Recipe) -> bool:
    """Whether problems and both models are the miniature's: only then is the ground truth known."""
    if recipe.problems is None or recipe.models.teacher is None:
        return False
    sources = [recipe.problems.source, *(recipe.models.of(role).source for role in ROLES)]
    return set(sources) == {MINIATURE} and bool(recipe.synthesis.written)


def plan(
    recipe: Recipe,
    graph: Graph,
    world: str,
    models: Mapping[Role, str | None],
    traces: Mapping[str, str],
) -> str:
    config = InstrumentStage(
        evaluate=part(Generation, recipe.evaluate),
        models={role: reference(recipe.models.of(role)) for role in ROLES},
        engines={role: recipe.execution.engines.of(role).numerics for role in ROLES},
        methods=list(traces),
        seed=recipe.seed,
    )
    written = {f"synthesize-{method}": stage for method, stage in traces.items()}
    return graph.add(KIND, "instrument", config, {"world": world, **by_name(models), **written})
