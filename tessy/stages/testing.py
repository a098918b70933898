"""What the stages that test a checkpoint share: responses to benchmarks, several per problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, Self, TypeVar

from tessy.cluster import Resources
from tessy.config.base import Generation, Section, Seed
from tessy.config.engines import Numerics
from tessy.config.evaluate import CodeBenchmark, LmEvalBenchmark
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.config.recipe import Recipe
from tessy.runtime.stage import StageConfig
from tessy.stages.checks import engine_faults, local, models_faults
from tessy.stages.serving import needed, of_models

B = TypeVar("B", CodeBenchmark, LmEvalBenchmark)


class Tested(Section, Generic[B]):
    """A benchmark, and the number of scored responses per problem."""

    benchmark: B
    samples: int


class Testing(Generation, Generic[B]):
    """How responses are written, and the benchmarks by name."""

    benchmarks: dict[str, Tested[B]]


class TestingStage(StageConfig, Generic[B]):
    """The checkpoint, its engine and the benchmarks."""

    evaluate: Testing[B]
    model: ModelReference
    engine: Numerics
    seed: Seed

    @classmethod
    def of(cls, recipe: Recipe, benchmarks: Sequence[B], model: ModelReference) -> Self:
        """The stage that tests `model` on some of the recipe's benchmarks."""
        limits, named = recipe.evaluate, tested(recipe, benchmarks)
        return cls(
            evaluate=Testing(max_tokens=limits.max_tokens, sampler=limits.sampler, benchmarks=named),
            model=model,
            engine=recipe.execution.engines.student.numerics,
            seed=recipe.seed,
        )

    @property
    def benchmarks(self) -> list[B]:
        return [one.benchmark for one in self.evaluate.benchmarks.values()]

    @property
    def files(self) -> list[str]:
        return local([*self.model.files, *(file for one in self.benchmarks for file in one.files)])

    def faults(self, execution: Execution) -> Iterable[str]:
        yield from models_faults({"student": self.model})
        yield from engine_faults(execution, ["student"])
        yield from self.benchmark_faults()

    def resources(self, execution: Execution) -> Resources:
        return needed(execution, [execution.engines.student])

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterable[str]:
        return of_models(execution, inputs, {"student": self.model}, "model")

    def benchmark_faults(self) -> Iterator[str]:
        """Faults that would prevent scoring the benchmarks."""
        raise NotImplementedError


def tested(recipe: Recipe, benchmarks: Sequence[B]) -> dict[str, Tested[B]]:
    """Benchmarks by name, without the fields that only concern the report."""
    return {
        one.name: Tested(
            benchmark=one.model_copy(update={"paper_column": None, "samples": None}),
            samples=one.samples or recipe.evaluate.samples,
        )
        for one in benchmarks
    }
