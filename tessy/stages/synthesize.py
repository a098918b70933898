"""The stage `synthesize`: one method's trajectories for every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tessy.artifacts import read_parquet, write_json, write_parquet
from tessy.cluster import Resources
from tessy.config.base import Seed
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.methods import METHODS, TITLES, cooperative
from tessy.config.models import ModelReference, reference
from tessy.config.recipe import Recipe
from tessy.config.synthesis import Cooperation, Synthesis
from tessy.errors import UserError
from tessy.layout import HELD_OUT, PROBLEMS, SYNTHESIS, TRAJECTORIES
from tessy.records import ROLES, Problem, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import (
    engine_faults,
    local,
    models_faults,
    predictor_engine_faults,
    switch_faults,
)
from tessy.stages.serving import needed, of_models, of_predictors

if TYPE_CHECKING:
    from tessy.generation.writing import Task
    from tessy.synthesis.rollouts import Sample

ROWS_AT_ONCE = 256
"""Trajectories in memory while they are written out."""


class SynthesizeStage(StageConfig):
    """Which method writes, how, and with what. Where one model writes all of the thinking, settings for
    cooperation do not apply: `synthesis` then has only its limits, without `watching` and `window_tokens`."""

    method: str
    models: dict[Role, ModelReference]
    engines: dict[Role, Numerics]
    """Of the authors."""
    watching: dict[Role, Numerics] = Field(default_factory=dict)
    """Of the boundary predictors."""
    synthesis: Cooperation
    window_tokens: int | None = None
    """What the recipe's own predictors see."""
    seed: Seed
    repeats: int = 1
    """Responses to each problem."""
    held_out: bool = False
    """Write responses to the problems that curation keeps out of training, instead."""

    @property
    def cooperative(self) -> bool:
        return cooperative(self.method)

    @property
    def files(self) -> list[str]:
        sources = [source for model in self.models.values() for source in model.files]
        return [*local(sources), *(self.synthesis.switch.files if self.cooperative else [])]

    def faults(self, execution: Execution) -> Iterator[str]:
        yield from models_faults(self.models)
        yield from engine_faults(execution, self.engines)
        if self.cooperative:
            yield from switch_faults(self.synthesis.switch)
            yield from predictor_engine_faults(execution, self.engines)

    def resources(self, execution: Execution) -> Resources:
        engines = [execution.engines.of(role) for role in self.engines]
        watching = [execution.predictors.of(role) for role in self.watching]
        return needed(execution, [*engines, *watching])

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterator[str]:
        models = {role: model for role, model in self.models.items() if role in self.engines}
        yield from of_models(execution, inputs, models)
        if self.cooperative:
            yield from of_predictors(execution, inputs, [self.synthesis.switch])


KIND = Kind(
    "synthesize",
    SynthesizeStage,
    revision=4,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    join=f"{__name__}:join",
    preload=("tessy.generation.writing",),
    on_device=True,
    needs=("models",),
)


def plan(
    recipe: Recipe,
    graph: Graph,
    method: str,
    models: Mapping[Role, str | None],
    problems: str,
    predictors: Mapping[Role, str],
    *,
    name: str | None = None,
    repeats: int = 1,
    held_out: bool = False,
) -> str:
    """The stage of responses by the models that `METHODS` names, `repeats` per problem; with `held_out` to
    those problems."""
    both, engines = cooperative(method), recipe.execution.engines
    synthesis = recipe.synthesis
    trained = both and synthesis.switch.kind == "trained"
    config = SynthesizeStage(
        method=method,
        models={role: reference(recipe.models.of(role)) for role in ROLES},
        engines={role: engines.of(role).numerics for role in sorted(METHODS[method].authors)},
        watching={role: recipe.execution.watching(role) for role in ROLES} if both else {},
        synthesis=_cooperation(synthesis) if both else _alone(synthesis),
        window_tokens=recipe.predictors.window_tokens if trained and recipe.predictors else None,
        seed=recipe.seed,
        repeats=repeats,
        held_out=held_out,
    )
    watching = {f"predictor-{role}": stage for role, stage in predictors.items()} if trained else {}
    inputs = {"problems": problems, **by_name(models), **watching}
    return graph.add(KIND, name or f"synthesize-{method}", config, inputs)


def _cooperation(synthesis: Synthesis) -> Cooperation:
    return Cooperation(
        max_tokens=synthesis.max_tokens,
        sampler=synthesis.sampler,
        chunk_tokens=synthesis.chunk_tokens,
        compat=synthesis.compat,
        switch=synthesis.switch,
    )


def _alone(synthesis: Synthesis) -> Cooperation:
    """Only the limits: nothing of cooperation applies."""
    return Cooperation(max_tokens=synthesis.max_tokens, sampler=synthesis.sampler)


def run(job: Job[SynthesizeStage]) -> None:
    from tessy.generation.writing import responses

    task = task_of(job)
    if task.cooperation:
        task.cooperation.require_usable()
    write_set(job, job.config.method, _as_kept(job, responses(job, _samples(job), task)))


def join(job: Job[SynthesizeStage]) -> None:
    """Help to write the trajectories; the process that runs the stage collects them."""
    from tessy.generation.writing import drain

    drain(job, _samples(job), task_of(job))


def write_set(
    job: Job[StageConfig],
    method: str,
    trajectories: Iterable[Trajectory],
    more: Callable[[], Mapping[str, Any]] = dict,
    title: str = "",
) -> None:
    """Write the training set of `method` and a summary of it. `more` gives further counts; it is called after
    the last trajectory. `title` is that of a method of the recipe's own."""
    summary = Summary()
    about = f"Training responses by the method {title or TITLES[method]}."
    write_parquet(
        job.out / TRAJECTORIES, summary.watch(trajectories), job.name, about, rows_at_once=ROWS_AT_ONCE
    )
    values = {**summary.values(), **more()}
    write_json(job.out / SYNTHESIS, values)
    job.tracker.log({k: v for k, v in values.items() if not isinstance(v, dict)})


def _samples(job: Job[SynthesizeStage]) -> list[Sample]:
    from tessy.synthesis.official import samples_by_prompt
    from tessy.synthesis.rollouts import samples_of

    table = HELD_OUT if job.config.held_out else PROBLEMS
    problems = read_parquet(job.inputs["problems"] / table, Problem)
    if job.config.synthesis.compat.samples == "prompts":
        return samples_by_prompt(problems)
    return samples_of(problems, job.config.repeats)


def task_of(job: Job[SynthesizeStage]) -> Task:
    """The stage's writing task."""
    from tessy.chat import QWEN3_NO_NEWLINE
    from tessy.generation.models import named
    from tessy.generation.switching import Switching
    from tessy.generation.writing import Task

    config, compat = job.config, job.config.synthesis.compat
    switching = Switching(job, config.synthesis.switch, config.window_tokens, compat.window == "sliding")
    return Task(
        config.method,
        METHODS[config.method],
        named(config.models),
        config.synthesis,
        config.seed,
        chunk_tokens=config.synthesis.chunk_tokens,
        compat=compat,
        switching=switching if config.cooperative else None,
        formats={} if compat.prompt_newline else {"qwen3": QWEN3_NO_NEWLINE},
    )


def _as_kept(job: Job[SynthesizeStage], trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
    """Trajectories as they are stored: in the student's template, with tokens counted as configured."""
    from tessy.generation.models import named, renderer_of
    from tessy.synthesis.official import counted_by_student
    from tessy.synthesis.prompts import answering

    compat, student = job.config.synthesis.compat, renderer_of(job, named(job.config.models)["student"])
    for trajectory in trajectories:
        kept = trajectory if compat.prompt_newline else answering(trajectory, trajectory.prompt, student)
        yield kept if compat.teacher_tokens == "own" else counted_by_student(kept, student)


class Summary:
    """Counts of a synthesis, updated with each trajectory."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def watch(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        for t in trajectories:
            self._count["tokens"] += t.tokens
            self._count["generated"] += t.generated_tokens
            self._count["rolled_back"] += t.rolled_back_tokens
            self._reasons[t.stop_reason] += 1
            self._failures[t.failure] += bool(t.failure)
            for span in t.spans:
                self._count[span.author] += span.tokens
            yield t

    def plain(self) -> dict[str, dict[str, int]]:
        """Everything counted so far, for `add_all`."""
        return {"count": dict(self._count), "reasons": dict(self._reasons), "failures": dict(self._failures)}

    def add_all(self, plain: Mapping[str, Mapping[str, int]]) -> None:
        """Add what another summary counted."""
        self._count.update(plain["count"])
        self._reasons.update(plain["reasons"])
        self._failures.update(plain["failures"])

    def values(self) -> dict[str, Any]:
        """The counts as flat values. Tokens of thinking are counted by their authors' tokenizers."""
        count, reasons = self._count, self._reasons
        total = reasons.total()
        if not total:
            raise UserError("synthesis wrote nothing: there are no problems")
        return {
            "trajectories": total,
            "failed": total - reasons["finished"],
            "stop_reasons": dict(reasons),
            "failures": {reason: times for reason, times in self._failures.items() if reason},
            "mean_tokens": count["tokens"] / total,
            "teacher_token_share": count["teacher"] / max(1, count["teacher"] + count["student"]),
            "generated_tokens": count["generated"],
            "rolled_back_tokens": count["rolled_back"],
        }
