"""What the stage `curation` gives its passes: the recipe's sources and audits, the lengths that fit, who is
asked.

Not covered: the passes (`tessy.curate.passes`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from tessy.config.base import MINIATURE
from tessy.config.engines import Numerics
from tessy.config.models import ModelReference, Pretraining
from tessy.config.problems import FIELD, Curation, Problems, ProblemSource, field_of
from tessy.config.selection import PassRate, Rating
from tessy.curate.reading import OpenTable, Supply, miniature, of_tables, opened, plain_texts
from tessy.curate.selecting import Asking
from tessy.errors import UserError
from tessy.layout import PROBLEMS
from tessy.records import Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig


class Settings(Protocol):
    """The part of the stage's configuration that is used here (`tessy.stages.curation.CurationStage`)."""

    problems: Problems
    models: dict[Role, ModelReference]
    engines: dict[Role, Numerics]
    context: int | None
    response: int
    system: str
    pretraining: dict[Role, Pretraining]
    seed: int

    @property
    def curation(self) -> Curation: ...


def supplies(job: Job[StageConfig], config: Settings, table_of: OpenTable) -> list[Supply]:
    """The recipe's sources in order."""
    tests = config.curation.selection.pass_rate is not None
    problems = config.problems
    return [_supply(job, one, field_of(problems, one), tests, table_of) for one in problems.named.values()]


def _supply(
    job: Job[StageConfig], source: ProblemSource, field: str, tests: bool, table_of: OpenTable
) -> Supply:
    if source.source == MINIATURE:
        return miniature(job.inputs["world"] / PROBLEMS)
    supply = of_tables(opened(source, field, tests, table_of), job.work, field)
    for line in supply.said:
        job.say(f"{source.title}: {line}")
    return supply


def audited(job: Job[StageConfig], config: Settings, table_of: OpenTable) -> Iterator[Supply]:
    """The texts that the models have read before."""
    for source in config.curation.audit:
        if source.source != MINIATURE:
            yield _supply(job, source, f"{FIELD}.audit {source.title}", False, table_of)
            continue
        # Loaded by name: only the miniature's own stages know it.
        prompts = importlib.import_module("tessy.stages.pretrain").prompts
        for role, settings in config.pretraining.items():
            texts = partial(prompts, job.inputs["world"], role, settings, config.seed)
            yield plain_texts(f"{role}-pretraining", texts)


def in_contexts(job: Job[StageConfig], config: Settings) -> tuple[Curation, Callable[[str], dict[str, int]]]:
    """The settings with the longest prompts that fit, and what counts a prompt's tokens by role."""
    curation, wanted = config.curation, dict[str, int](config.curation.cleaning.max_tokens)
    if config.context is None and not wanted:
        return curation, lambda _: {}
    from tessy.generation.fitting import fitting
    from tessy.generation.models import named

    rooms = fitting(
        job,
        named(config.models),
        max_tokens=config.response,
        max_length=config.context or 0,
        system=config.system,
    ).rooms
    if missing := wanted.keys() - rooms.keys():
        raise UserError(
            f"{FIELD}.cleaning.max_tokens names {', '.join(sorted(missing))}, and the vocabulary of that "
            "model is not known here; name it in `models`, or remove the length"
        )
    for role, room in rooms.items() if config.context is not None else ():
        if room.tokens < 1:
            raise UserError(f"models.{role}: no room is left for a prompt ({room.because}); lower the latter")
        wanted.setdefault(role, room.tokens)

    def tokens(prompt: str) -> dict[str, int]:
        # No vocabulary has tokens of less than a byte: short prompts need not be encoded.
        size = len(prompt.encode()) + MARKUP + len(config.system.encode())
        long = {role: room for role, room in rooms.items() if role in wanted and size > wanted[role]}
        return {role: len(room.renderer.prompt_ids(prompt, room.system)) for role, room in long.items()}

    cleaning = curation.cleaning.model_copy(update={"max_tokens": wanted})
    return curation.model_copy(update={"cleaning": cleaning}), tokens


MARKUP = 512
"""Bytes of the template around a prompt, gpt-oss's system message included: more than any format needs."""


def asking(job: Job[StageConfig], config: Settings) -> Asking:
    """How models are asked, where the recipe has any asked."""
    selection = config.curation.selection
    if not selection.ratings and selection.pass_rate is None:
        return Asking()
    from tessy.generation.models import NamedModel, named
    from tessy.generation.rating import Rater, rate

    field = f"{FIELD}.selection.ratings"

    def ratings(rating: Rating, texts: Mapping[str, str]) -> Mapping[str, float]:
        return rate(job, texts, Rater(rating, f"{field} {rating.name}", config.seed, named(config.models)))

    def rates(
        settings: PassRate, problems: Mapping[str, tuple[str, Sequence[tuple[str, str]]]]
    ) -> Mapping[str, float]:
        # Loaded by name, because `tessy` does not import `eval`.
        run = importlib.import_module("eval.pass_rates").pass_rates
        found: Mapping[str, float] = run(
            job, settings, problems, NamedModel(config.models["student"], "student"), config.seed
        )
        return found

    return Asking(ratings, rates)
