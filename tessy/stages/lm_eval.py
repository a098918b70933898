"""The stage `lm_eval`: one checkpoint on benchmarks that lm-eval scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tessy.config.base import Generation, Section, Seed
from tessy.config.engines import Numerics
from tessy.config.evaluate import LmEvalBenchmark
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.config.recipe import Recipe
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import engine_faults, local, models_faults


class TestedLmEval(Section):
    """A benchmark, and how many responses to each of its problems are scored."""

    benchmark: LmEvalBenchmark
    samples: int

    __test__ = False
    """No test, whatever pytest makes of the name."""


class LmEvalTests(Generation):
    """How responses are written, and to which benchmarks, by name."""

    benchmarks: dict[str, TestedLmEval]


class LmEvalStage(StageConfig):
    """Which checkpoint is tested, what runs it, and on what."""

    evaluate: LmEvalTests
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
        for one in self.evaluate.benchmarks.values():
            data = one.benchmark.data
            if data is not None and not Path(data).is_file():
                yield f"benchmark {one.benchmark.name}: data {data!r}: no such file; give an existing .jsonl"


KIND = Kind(
    "lm_eval",
    LmEvalStage,
    revision=3,
    declared=f"{__name__}:KIND",
    run="eval.general:run",
    preload=("eval.general",),
    on_device=True,
)


def plan(
    recipe: Recipe, graph: Graph, label: str, tested: ModelReference, model: str | None, world: str | None
) -> str | None:
    """The stage that tests the checkpoint that `tested` and the input `model` name, if there are
    benchmarks."""
    if not recipe.evaluate.lm_eval:
        return None
    benchmarks = {
        one.name: TestedLmEval(
            benchmark=one.model_copy(update={"paper_column": None, "samples": None}),
            samples=one.samples or recipe.evaluate.samples,
        )
        for one in recipe.evaluate.lm_eval
    }
    max_tokens, sampler = recipe.evaluate.max_tokens, recipe.evaluate.sampler
    config = LmEvalStage(
        evaluate=LmEvalTests(max_tokens=max_tokens, sampler=sampler, benchmarks=benchmarks),
        model=tested,
        engine=recipe.execution.engines.student.numerics,
        seed=recipe.seed,
    )
    return graph.add(KIND, f"lmeval-{label}", config, {"model": model, "world": world})
