"""The stage `switches`: compares ways to switch authors with the generator's ground truth.

F1 is measured on gold thinkings, each author's in its own dialect, of problems that are in no training set.
Leaks are measured on real traces: both models write, and the switch decides. Every switch gets the same
problems.

The traces are kept in a folder per switch, for `tessy inspect`.

Not covered: what students trained on these traces would learn; that is a recipe with `synthesis.switch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from tessy.artifacts import write_json, write_parquet
from tessy.boundary import Predictor
from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.quality import Confusion, compare, leaks
from tessy.boundary.switches import EveryTokens
from tessy.config.base import Seed, part
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.methods import METHODS
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.config.switches import Switch, TrainedSwitch
from tessy.config.synthesis import ChunkedGeneration
from tessy.layout import SWITCHES, TRAJECTORIES
from tessy.miniature.dialects import STUDENT, TEACHER, Dialect, truth
from tessy.miniature.traces import gold_traces
from tessy.miniature.world import World
from tessy.records import ROLES, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import engine_faults, local, predictor_engine_faults, switch_faults
from tessy.stages.serving import of_models, of_predictors
from tessy.stages.world import load_world

if TYPE_CHECKING:
    from tessy.chat import Renderer
    from tessy.generation.switching import Switching
    from tessy.generation.token_logprobs import TokenLogprobs
    from tessy.generation.writing import Task

DIALECTS: dict[Role, Dialect] = {"student": STUDENT, "teacher": TEACHER}


class SwitchesStage(StageConfig):
    """Which switches are compared, on how many problems, by which models."""

    switches: list[Switch]
    problems: int
    window_tokens: int
    """What the recipe's own predictors see."""
    synthesis: ChunkedGeneration
    models: dict[Role, ModelReference]
    engines: dict[Role, Numerics]
    watching: dict[Role, Numerics]
    seed: Seed

    @property
    def files(self) -> list[str]:
        sources = [source for model in self.models.values() for source in model.files]
        return [*local(sources), *(file for switch in self.switches for file in switch.files)]

    def faults(self, execution: Execution) -> Iterator[str]:
        for switch in self.switches:
            yield from switch_faults(switch)
        yield from engine_faults(execution, ROLES)
        yield from predictor_engine_faults(execution, ROLES)

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterator[str]:
        yield from of_models(execution, inputs, self.models)
        yield from of_predictors(execution, inputs, self.switches)


KIND = Kind(
    "switches",
    SwitchesStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    preload=("tessy.generation.token_logprobs",),
    on_device=True,
    needs=("models",),
)


def plan(
    recipe: Recipe,
    graph: Graph,
    world: str,
    models: Mapping[Role, str | None],
    predictors: Mapping[Role, str],
) -> str:
    """The stage that compares the trained predictors with other switches."""
    settings = recipe.predictors
    assert settings is not None
    config = SwitchesStage(
        switches=[TrainedSwitch(kind="trained"), *settings.comparison.switches],
        problems=settings.comparison.problems,
        window_tokens=settings.window_tokens,
        synthesis=part(ChunkedGeneration, recipe.synthesis),
        models={role: reference(recipe.models.of(role)) for role in ROLES},
        engines={role: recipe.execution.engines.of(role).numerics for role in ROLES},
        watching={role: recipe.execution.watching(role) for role in ROLES},
        seed=recipe.seed,
    )
    inputs = {f"predictor-{role}": stage for role, stage in predictors.items()}
    return graph.add(KIND, "switches", config, {"world": world, **by_name(models), **inputs})


def run(job: Job[SwitchesStage]) -> None:
    compared = [_switching(job, switch) for switch in job.config.switches]
    for switching in compared:
        # Checked first, so that an unusable switch does not stop the stage half-way.
        switching.require_usable()
    world = load_world(job.inputs["world"])
    gold = Gold(job, world)
    rows: dict[str, dict[str, float]] = {}
    for switching in compared:
        found, traces = judged(switching, gold), written(job, switching, world)
        style, capability = leaks((t, truth(thinking(t))) for t in traces)
        title = switching.switch.title
        rows[title] = {
            "token_f1": found.token_f1,
            "boundary_f1": found.boundary_f1,
            "style_leak": style,
            "capability_leak": capability,
        }
        job.tracker.log({f"{title}/{key}": value for key, value in rows[title].items()})
    write_json(job.out / SWITCHES, rows)


def _switching(job: Job[SwitchesStage], switch: Switch) -> Switching:
    from tessy.generation.switching import Switching

    return Switching(job, switch, job.config.window_tokens)


def _task(job: Job[SwitchesStage], name: str, switching: Switching | None = None) -> Task:
    from tessy.generation.models import named
    from tessy.generation.writing import Task

    config = job.config
    return Task(
        name,
        METHODS["tessy"],
        named(config.models),
        config.synthesis,
        config.seed,
        chunk_tokens=config.synthesis.chunk_tokens,
        switching=switching,
    )


class Gold:
    """Each author's gold thinkings for the contests' problems, in its own dialect."""

    def __init__(self, job: Job[SwitchesStage], world: World) -> None:
        from tessy.generation.models import named, renderer_of

        problems = [problem for contest in world.contests.values() for problem in contest]
        models = named(job.config.models)
        self._job = job
        self.renderers = {role: renderer_of(job, models[role]) for role in ROLES}
        self.traces = {role: gold_traces(world, problems, DIALECTS[role], job.config.seed) for role in ROLES}

    @cached_property
    def logprobs(self) -> dict[Role, list[TokenLogprobs]]:
        """Each author's model's log-probabilities for its thinkings, computed once for all switches."""
        from tessy.generation.token_logprobs import gold_logprobs

        return asyncio.run(gold_logprobs(self._job, _task(self._job, "gold"), self.traces))


def judged(switching: Switching, gold: Gold) -> Confusion:
    """Scores of both authors' switches on gold thinkings."""
    total = Confusion()
    for role, traces in gold.traces.items():
        for trace, labels in zip(traces, labelled(switching, role, gold), strict=True):
            total += compare(trace.thinking, labels, trace.kinds)
    return total


def labelled(switching: Switching, role: Role, gold: Gold) -> Iterator[list[tuple[int, bool]]]:
    """(offset, whether it is style) by a role's switch, for each of its thinkings."""
    from tessy.generation.switching import token_rule

    rule = token_rule(switching.switch)
    if isinstance(rule, EveryTokens):
        yield from alternating(gold.renderers[role], [t.thinking for t in gold.traces[role]], rule)
        return
    if rule:
        style_is_foreign = bool(FOREIGN_LABEL[role])
        for tokens in gold.logprobs[role]:
            yield [(offset, rule.foreign(0, given) == style_is_foreign) for offset, given in tokens]
        return
    predictor = switching.open(role, 1)
    for trace in gold.traces[role]:
        yield asyncio.run(style_labels(predictor, role, trace.thinking))


def alternating(
    renderer: Renderer, thinkings: Sequence[str], rule: EveryTokens
) -> Iterator[list[tuple[int, bool]]]:
    """(offset, whether it is style) of the tokens of whole thinkings, authors alternating by `rule`."""
    for thinking in thinkings:
        pieces = renderer.pieces(renderer.encode(thinking))
        starts = accumulate(map(len, pieces), initial=0)
        yield [(at, rule.style(number)) for number, (at, _) in enumerate(zip(starts, pieces, strict=False))]


async def style_labels(switch: Predictor, role: Role, text: str) -> list[tuple[int, bool]]:
    """(offset, whether it is style) by a role's switch, for a whole thinking."""
    foreign = await switch.foreign("", "", text)
    switch.release("")
    return [(offset, is_foreign == bool(FOREIGN_LABEL[role])) for offset, is_foreign in foreign]


def written(job: Job[SwitchesStage], switching: Switching, world: World) -> Sequence[Trajectory]:
    """Thinkings for the first training problems, written by both models with this switch."""
    from tessy.generation.writing import write_responses
    from tessy.synthesis.rollouts import samples_of

    name = folder_of(switching.switch)
    samples = samples_of(world.train[: job.config.problems])
    traces = write_responses(job, samples, _task(job, name, switching))
    write_parquet(
        job.out / name / TRAJECTORIES, traces, name, f"Cooperative traces, authors switched by: {name}."
    )
    return traces


def folder_of(switch: Switch) -> str:
    """The folder of a switch's traces in the artifact."""
    return switch.title.replace(" ", "-")


def thinking(trajectory: Trajectory) -> str:
    return "".join(span.text for span in trajectory.spans if span.kind in ("style", "capability"))
