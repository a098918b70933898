"""Asks a model one question about each text until an answer can be used: the recipe's own model on its
engine, or one at an endpoint.

Every answer is journaled before it is read, so an interrupted stage asks nothing twice; faults of an endpoint
end the stage, which goes on later. Not covered: what the answers are used for (`tessy.generation.annotation`,
`tessy.generation.rating`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tessy.boundary.annotators import AnswerJournal
from tessy.boundary.chat_endpoint import ChatEndpoint, ChatOptions, EndpointFault, Refused
from tessy.config.base import Generation
from tessy.config.methods import Method
from tessy.config.predictors import LanguageModelAnnotator
from tessy.config.selection import Rating
from tessy.errors import UserError
from tessy.generation.models import NamedModel
from tessy.generation.writing import Task, write_responses
from tessy.records import Problem, Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.rollouts import Sample

Asked = LanguageModelAnnotator | Rating
"""The sections of the recipe that say what model is asked, and how it answers."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The `name` and `seed` of a round of questions, the recipe's own `models` that may be asked, and the
    recipe's `field` for messages."""

    name: str
    seed: int
    models: Mapping[Role, NamedModel]
    field: str = "predictors.annotator"


def ask_own_model(
    job: Job[StageConfig],
    questions: Mapping[str, str],
    asked: Asked,
    how: Asking,
    enough: Callable[[str, Sequence[str]], bool],
    schema: str | None = None,
) -> Mapping[str, list[str]]:
    """All answers by key of `questions`: each question is a problem, and its answer that of the response,
    constrained to a JSON `schema` where one is given and the engine supports it. All open questions are asked
    at once, and those whose answers are not `enough` again in the next round."""
    role, answers = asked.own, defaultdict[str, list[str]](list)
    assert role is not None
    method = Method("Asking", thinking=role if asked.thinking else None, answer=role)
    for attempt in range(asked.attempts):
        left = [key for key in questions if not enough(key, answers[key])]
        if not left:
            break
        task = Task(
            f"{how.name}-{attempt}",
            method,
            {role: how.models[role]},
            Generation(max_tokens=asked.max_tokens, sampler=asked.sampler),
            how.seed,
            home=role,
            answer_schema=schema,
            must_finish=True,
        )
        # A sample's id is also its seed: a further attempt must not repeat the first.
        samples = [Sample(f"{how.name}/{key}@{attempt}", Problem(key, questions[key])) for key in left]
        for key, response in zip(left, write_responses(job, samples, task), strict=True):
            answers[key].append("".join(span.text for span in response.spans if span.kind == "answer"))
    return answers


@asynccontextmanager
async def at_endpoint(
    job: Job[StageConfig], asked: Asked, how: Asking, *, schema: bool
) -> AsyncIterator[tuple[ChatEndpoint, AnswerJournal]]:
    """The endpoint that the recipe names, and the journal of its answers; `schema` says whether it should be
    asked for JSON. Faults inside become a `UserError` that says how to go on."""
    where = job.execution.annotator
    assert where is not None
    options = ChatOptions(
        asked.model, asked.max_tokens, asked.sampler.model_dump(), schema=schema, thinking=asked.thinking
    )
    key = os.environ.get(where.key_variable)
    endpoint = await ChatEndpoint.connect(where.url, options, key=key, timeout_s=where.timeout_s)
    async with endpoint:
        with AnswerJournal(job.work / f"{how.name}.answers.jsonl") as journal:
            try:
                yield endpoint, journal
            except* (EndpointFault, Refused) as stopped:
                raise UserError(
                    f"execution.annotator.url: {endpoint.url}: {stopped.exceptions[0]}; run again when it "
                    f"answers (what it has said is kept). A question and {how.field}.max_tokens for its "
                    "answer have to fit into the model's context"
                ) from None
