"""The stage `problems`: training prompts, from the miniature or from a table, as one dataset.

Only prompts are read; responses in a source are ignored, because all responses are synthesised. A row without
a prompt is left out and counted. So is a prompt that leaves no room for its response, or nothing is run: the
recipe says which, and either way it is known before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tessy.artifacts import read_parquet, write_json, write_parquet
from tessy.config.base import MINIATURE, Positive, Section
from tessy.config.execution import Execution
from tessy.config.models import ModelReference, reference
from tessy.config.problems import Problems
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.layout import LEFT_OUT, LENGTHS, PROBLEMS
from tessy.records import ROLES, Problem, Role
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig
from tessy.sources import LeftOut, Unfit, id_of, prompt_of
from tessy.stages.checks import local, models_faults, table_faults
from tessy.stages.tables import Reading, opened

if TYPE_CHECKING:
    from tessy.generation.fitting import Fitting

FIELD = "problems"


class Fit(Section):
    """What prompts and responses have to fit into."""

    models: dict[Role, ModelReference]
    max_tokens: Positive
    """Longest response."""
    max_length: Positive
    """Longest training sequence."""
    system: str = ""
    """The system prompt in training."""


class ProblemsStage(StageConfig):
    """Which prompts, and how many of them. The miniature's need no `fit`."""

    problems: Problems
    fit: Fit | None = None

    @property
    def files(self) -> list[str]:
        models = self.fit.models.values() if self.fit else ()
        return local([self.problems.source, *(file for model in models for file in model.files)])

    def faults(self, execution: Execution) -> Iterator[str]:
        if self.problems.source != MINIATURE:
            yield from table_faults(self.problems, FIELD)
        if self.fit:
            yield from models_faults(self.fit.models)


KIND = Kind(
    "problems",
    ProblemsStage,
    revision=1,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    needs=("models",),
)


def plan(recipe: Recipe, graph: Graph, world: str | None, models: Mapping[Role, str | None]) -> str:
    problems = recipe.problems
    assert problems is not None
    if problems.source == MINIATURE:
        return graph.add(KIND, "problems", ProblemsStage(problems=problems), {"world": world})
    fit = Fit(
        models={role: reference(recipe.models.of(role)) for role in ROLES},
        max_tokens=recipe.synthesis.max_tokens,
        max_length=recipe.train.max_length,
        system=recipe.train.system_prompt,
    )
    return graph.add(KIND, "problems", ProblemsStage(problems=problems, fit=fit), by_name(models))


def run(job: Job[ProblemsStage]) -> None:
    settings, left_out = job.config.problems, LeftOut()
    if settings.source == MINIATURE:
        problems = list(read_parquet(job.inputs["world"] / PROBLEMS, Problem))[: settings.limit]
    else:
        reading, fits = opened(job, settings, FIELD), _fitting(job)
        problems, left_out = list(problems_of(reading, fits)), reading.left_out
        reading.say(job)
        if fits:
            _consider(job, fits, left_out)
    if not problems:
        lines = "; ".join(left_out.lines()) or "it is empty"
        raise UserError(f"problems.source {settings.source}: no row can be used; {lines}")
    count = write_parquet(job.out / PROBLEMS, problems, "problems", "Prompts to synthesise responses for.")
    write_json(job.out / LEFT_OUT, left_out.values())
    job.tracker.log({"problems": count, "left_out": left_out.rows})


def problems_of(reading: Reading, fits: Fitting | None = None) -> Iterator[Problem]:
    """The prompts of a table; those that leave no room for a response, by `fits`, are left out."""
    for values, origin in reading.rows():
        try:
            problem = Problem(id_of(values, reading.layout, origin), prompt_of(values, reading.layout))
            if fits:
                fits.require(problem)
            yield problem
        except Unfit as why:
            reading.left_out.add(origin, why)


def _fitting(job: Job[ProblemsStage]) -> Fitting | None:
    from tessy.generation.fitting import fitting
    from tessy.generation.models import named

    fit = job.config.fit
    if fit is None:
        return None
    return fitting(
        job, named(fit.models), max_tokens=fit.max_tokens, max_length=fit.max_length, system=fit.system
    )


def _consider(job: Job[ProblemsStage], fits: Fitting, left_out: LeftOut) -> None:
    """Record the lengths; raise `UserError` where a prompt is too long and the recipe wants none left out."""
    from tessy.generation.fitting import TOO_LONG

    lengths = fits.values()
    write_json(job.out / LENGTHS, lengths)
    for role, found in lengths.items():
        job.say(f"prompts for the {role}: up to {found['longest']} tokens, {found['room']} fit")
    rules = [rule for rule in TOO_LONG.values() if rule in left_out.counts]
    if rules and job.config.problems.too_long == "refuse":
        lines = [line for line in left_out.lines() if any(rule in line for rule in rules)]
        raise UserError(
            f"problems.too_long is refuse: {'; '.join(lines)}; raise train.max_length, lower "
            "synthesis.max_tokens, or set problems.too_long to leave_out"
        )
