"""The stage `evaluate`: one checkpoint on the code benchmarks, its programs run and judged."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace

from tessy.cluster import Resources
from tessy.config.base import MINIATURE
from tessy.config.evaluate import CodeBenchmark
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.config.recipe import Recipe
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind
from tessy.stages.checks import sandbox_faults
from tessy.stages.testing import TestingStage


class EvaluateStage(TestingStage[CodeBenchmark]):
    """A checkpoint on code benchmarks."""

    def resources(self, execution: Execution) -> Resources:
        asked = super().resources(execution)
        return replace(asked, cores=max(asked.cores, execution.judge_workers), sandbox=True)

    def benchmark_faults(self) -> Iterator[str]:
        yield from sandbox_faults()
        for benchmark in self.benchmarks:
            if benchmark.source != MINIATURE:
                yield from _unusable(benchmark)


KIND = Kind(
    "evaluate",
    EvaluateStage,
    revision=10,
    declared=f"{__name__}:KIND",
    run="eval.code:run",
    join="eval.code:run",
    preload=("eval.code",),
    on_device=True,
    needs=("models", "judging"),
)


def plan(
    recipe: Recipe, graph: Graph, label: str, named: ModelReference, model: str | None, world: str | None
) -> str | None:
    """The stage that tests the checkpoint given by `named` and the input `model`, if there are benchmarks."""
    if not recipe.evaluate.code:
        return None
    config = EvaluateStage.of(recipe, recipe.evaluate.code, named)
    return graph.add(KIND, f"evaluate-{label}", config, {"model": model, "world": world})


def _unusable(benchmark: CodeBenchmark) -> Iterator[str]:
    # Loaded by name, because `tessy` does not import `eval`.
    yield from importlib.import_module("eval.benchmarks").faults(benchmark)
