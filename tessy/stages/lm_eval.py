"""The stage `lm_eval`: one checkpoint on benchmarks that lm-eval scores."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from tessy.config.evaluate import MINIATURE_TASK, LmEvalBenchmark
from tessy.config.models import ModelReference
from tessy.config.recipe import Recipe
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind
from tessy.stages.checks import fault
from tessy.stages.testing import TestingStage


class LmEvalStage(TestingStage[LmEvalBenchmark]):
    """A checkpoint on lm-eval's benchmarks."""

    def benchmark_faults(self) -> Iterator[str]:
        for benchmark in self.benchmarks:
            missing = [file for file in benchmark.files if not Path(file).is_file()]
            for file in missing:
                yield f"benchmark {benchmark.name}: {file!r}: no such file; give an existing .jsonl"
            # The miniature's own task needs neither further packages nor few-shot examples.
            if not missing and benchmark.task != MINIATURE_TASK:
                yield from _unusable(benchmark)


KIND = Kind(
    "lm_eval",
    LmEvalStage,
    revision=7,
    declared=f"{__name__}:KIND",
    run="eval.general:run",
    join="eval.general:run",
    preload=("eval.general",),
    on_device=True,
    needs=("models", "lm-eval"),
)


def plan(
    recipe: Recipe, graph: Graph, label: str, named: ModelReference, model: str | None, world: str | None
) -> str | None:
    """The stage that tests the checkpoint given by `named` and the input `model`, if there are benchmarks."""
    if not recipe.evaluate.lm_eval:
        return None
    config = LmEvalStage.of(recipe, recipe.evaluate.lm_eval, named)
    return graph.add(KIND, f"lmeval-{label}", config, {"model": model, "world": world})


def _unusable(benchmark: LmEvalBenchmark) -> Iterator[str]:
    # Loaded by name, because `tessy` does not import `eval`.
    try:
        yield from fault(importlib.import_module("eval.lm_tasks").check, benchmark)
    except ModuleNotFoundError as error:
        yield f"evaluate.benchmarks: {error.name} is not installed: pip install -e '.[eval]'"
