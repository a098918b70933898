"""Asks a model for a number about each text: the recipe's own on its engine, or one at an endpoint.

A text without a readable number after all attempts has no rating. Not covered: what the numbers are used for,
and asking (`tessy.generation.asking`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tessy.boundary.annotators import ask_each
from tessy.config.selection import Rating
from tessy.generation.asking import Asking, ask_own_model, at_endpoint
from tessy.generation.models import NamedModel
from tessy.records import Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.prompts import Template
from tessy.synthesis.scoring import read_grade

PLACE = "problem"
"""The placeholder of a rating's prompt."""


@dataclass(frozen=True, slots=True)
class Rater:
    """How texts are rated: the recipe's `rating`, its `field` for messages, the `seed`, and the recipe's own
    `models` that may be asked."""

    rating: Rating
    field: str
    seed: int
    models: Mapping[Role, NamedModel]

    @property
    def asking(self) -> Asking:
        return Asking(f"rating-{self.rating.name}", self.seed, self.models, self.field)

    def template(self) -> Template:
        return Template(self.rating.file, f"{self.field}.prompt", {PLACE})


def rate(job: Job[StageConfig], texts: Mapping[str, str], how: Rater) -> dict[str, float]:
    """Numbers from 0 to 10 by key of `texts`; keys without a readable answer are missing."""
    template = how.template()
    questions = {key: template.fill(problem=text) for key, text in texts.items()}
    if how.rating.own is None:
        answers = asyncio.run(_at_endpoint(job, questions, how))
    else:
        answers = ask_own_model(job, questions, how.rating, how.asking, _readable)
    found = {key: number(given) for key, given in answers.items()}
    return {key: value for key, value in found.items() if value is not None}


def number(answers: Iterable[str]) -> float | None:
    """The first readable number of several answers."""
    return next((found for answer in answers if (found := read_grade(answer)) is not None), None)


def _readable(_: str, answers: Sequence[str]) -> bool:
    return number(answers) is not None


async def _at_endpoint(
    job: Job[StageConfig], questions: Mapping[str, str], how: Rater
) -> Mapping[str, list[str]]:
    asking = how.asking
    async with at_endpoint(job, how.rating, asking, schema=False) as (endpoint, journal):
        await ask_each(
            questions,
            endpoint.ask,
            journal,
            _readable,
            attempts=how.rating.attempts,
            seed=f"{asking.seed}/{asking.name}",
            concurrency=job.execution.concurrency,
            on_done=lambda done: job.progress(done, len(questions), "problems rated"),
        )
        return journal.answers
