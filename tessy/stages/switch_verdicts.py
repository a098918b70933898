"""The stage `switch_verdicts`: of each compared switch's traces, the share whose program is right."""

from __future__ import annotations

from collections.abc import Iterator

from tessy.config.base import Seed
from tessy.config.execution import Execution
from tessy.config.recipe import Recipe
from tessy.config.switches import Switch, TrainedSwitch
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import sandbox_faults


class SwitchVerdictsStage(StageConfig):
    """The switches whose traces are judged."""

    switches: list[Switch]
    seed: Seed

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from sandbox_faults()


KIND = Kind(
    "switch_verdicts",
    SwitchVerdictsStage,
    revision=1,
    declared=f"{__name__}:KIND",
    run="eval.instrument:judge_switches",
    preload=("eval.instrument",),
    needs=("judging",),
)


def plan(recipe: Recipe, graph: Graph, world: str, switches: str) -> str:
    assert recipe.predictors is not None
    compared = [TrainedSwitch(kind="trained"), *recipe.predictors.comparison.switches]
    config = SwitchVerdictsStage(switches=compared, seed=recipe.seed)
    return graph.add(KIND, "switches-judged", config, {"world": world, "switches": switches})
