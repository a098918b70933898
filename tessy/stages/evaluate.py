"""The stage `evaluate`: one checkpoint on the code benchmarks, its programs judged."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from tessy.config.base import MINIATURE, Generation, Section, Seed
from tessy.config.engines import Numerics
from tessy.config.evaluate import CodeBenchmark
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.config.recipe import Recipe
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import engine_faults, local, models_faults, sandbox_faults


class TestedCode(Section):
    """A benchmark, and how many responses to each of its problems are judged."""

    benchmark: CodeBenchmark
    samples: int

    __test__ = False
    """No test, whatever pytest makes of the name."""


class CodeTests(Generation):
    """How responses are written, and to which benchmarks, by name."""

    benchmarks: dict[str, TestedCode]


class EvaluateStage(StageConfig):
    """Which checkpoint is tested, what runs it, and on what."""

    evaluate: CodeTests
    model: ModelReference
    engine: Numerics
    seed: Seed

    @property
    def files(self) -> list[str]:
        tested = [file for one in self.evaluate.benchmarks.values() for file in one.benchmark.files]
        return local([*self.model.files, *tested])

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from models_faults({"student": self.model})
        yield from engine_faults(execution, ["student"])
        yield from sandbox_faults()
        for one in self.evaluate.benchmarks.values():
            if one.benchmark.source != MINIATURE:
                yield from _benchmark_faults(one.benchmark)


KIND = Kind(
    "evaluate",
    EvaluateStage,
    revision=4,
    declared=f"{__name__}:KIND",
    run="eval.code:run",
    preload=("eval.code",),
    on_device=True,
)


def plan(
    recipe: Recipe, graph: Graph, label: str, tested: ModelReference, model: str | None, world: str | None
) -> str | None:
    """The stage that tests the checkpoint that `tested` and the input `model` name, if there are
    benchmarks."""
    if not recipe.evaluate.code:
        return None
    benchmarks = {
        one.name: TestedCode(
            benchmark=one.model_copy(update={"paper_column": None, "samples": None}),
            samples=one.samples or recipe.evaluate.samples,
        )
        for one in recipe.evaluate.code
    }
    max_tokens, sampler = recipe.evaluate.max_tokens, recipe.evaluate.sampler
    config = EvaluateStage(
        evaluate=CodeTests(max_tokens=max_tokens, sampler=sampler, benchmarks=benchmarks),
        model=tested,
        engine=recipe.execution.engines.student.numerics,
        seed=recipe.seed,
    )
    return graph.add(KIND, f"evaluate-{label}", config, {"model": model, "world": world})


def _benchmark_faults(benchmark: CodeBenchmark) -> Iterator[str]:
    try:
        importlib.import_module("eval.benchmarks").check(benchmark)
    except ValueError as error:
        yield str(error)
