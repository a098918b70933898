"""Asks a model for a number about each text: the recipe's own on its engine, or one at an endpoint.

Every answer is journaled before it is read, so an interrupted rating asks nothing twice. A text without a
readable number after all attempts has no rating; faults of the endpoint end the stage instead, which then
goes on later.

Not covered: what the numbers are used for.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tessy.boundary.annotators import AnswerJournal, seed_of
from tessy.boundary.chat_endpoint import ChatEndpoint, ChatOptions, EndpointFault, Refused
from tessy.config.base import Generation
from tessy.config.methods import Method
from tessy.config.selection import Rating
from tessy.errors import UserError
from tessy.generation.models import NamedModel
from tessy.generation.writing import Task, write_responses
from tessy.records import Problem, Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.prompts import Template
from tessy.synthesis.rollouts import Sample
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
    def name(self) -> str:
        """The journals' name."""
        return f"rating-{self.rating.name}"

    def template(self) -> Template:
        return Template(self.rating.file, f"{self.field}.prompt", {PLACE})


def rate(job: Job[StageConfig], texts: Mapping[str, str], how: Rater) -> dict[str, float]:
    """Numbers from 0 to 10 by key of `texts`; keys without a readable answer are missing."""
    role = how.rating.own
    if role is None:
        return asyncio.run(_at_endpoint(job, texts, how))
    return _by_own_model(job, role, texts, how)


def number(answers: Iterable[str]) -> float | None:
    """The first readable number of several answers."""
    return next((found for answer in answers if (found := read_grade(answer)) is not None), None)


def _by_own_model(
    job: Job[StageConfig], role: Role, texts: Mapping[str, str], how: Rater
) -> dict[str, float]:
    rating, template, answers = how.rating, how.template(), defaultdict[str, list[str]](list)
    method = Method("Rating", thinking=role if rating.thinking else None, answer=role)
    for attempt in range(rating.attempts):
        left = [key for key in texts if number(answers[key]) is None]
        if not left:
            break
        task = Task(
            f"{how.name}-{attempt}",
            method,
            {role: how.models[role]},
            Generation(max_tokens=rating.max_tokens, sampler=rating.sampler),
            how.seed,
            home=role,
            must_finish=True,
        )
        # An id is also its sample's seed: a further attempt must not repeat the first.
        asked = [
            Sample(f"{how.name}/{key}@{attempt}", Problem(key, template.fill(problem=texts[key])))
            for key in left
        ]
        for key, response in zip(left, write_responses(job, asked, task), strict=True):
            answers[key].append("".join(span.text for span in response.spans if span.kind == "answer"))
    return _numbers(answers)


async def _at_endpoint(job: Job[StageConfig], texts: Mapping[str, str], how: Rater) -> dict[str, float]:
    rating, where, template = how.rating, job.execution.annotator, how.template()
    assert where is not None
    options = ChatOptions(
        rating.model, rating.max_tokens, rating.sampler.model_dump(), schema=False, thinking=rating.thinking
    )
    key = os.environ.get(where.key_variable)
    endpoint = await ChatEndpoint.connect(where.url, options, key=key, timeout_s=where.timeout_s)
    done, gate = 0, asyncio.Semaphore(job.execution.concurrency)
    async with endpoint:
        with AnswerJournal(job.work / f"{how.name}.answers.jsonl") as journal:

            async def one(name: str, text: str) -> None:
                nonlocal done
                async with gate:
                    given = journal.answers[name]
                    while number(given) is None and len(given) < rating.attempts:
                        seed = seed_of(f"{how.seed}/{how.name}", name, len(given))
                        journal.append(name, await endpoint.ask(template.fill(problem=text), seed))
                done += 1
                job.progress(done, len(texts), "problems rated")

            try:
                async with asyncio.TaskGroup() as group:
                    for name, text in texts.items():
                        group.create_task(one(name, text))
            except* (EndpointFault, Refused) as stopped:
                raise UserError(
                    f"execution.annotator.url: {endpoint.url}: {stopped.exceptions[0]}; run again when it "
                    f"answers (what it has said is kept). A question and {how.field}.max_tokens for its "
                    "answer have to fit into the model's context"
                ) from None
            return _numbers(journal.answers)


def _numbers(answers: Mapping[str, list[str]]) -> dict[str, float]:
    found = {key: number(given) for key, given in answers.items()}
    return {key: value for key, value in found.items() if value is not None}
