"""Annotates the style of segments with the recipe's annotator (`tessy.boundary`)."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessy.boundary.annotators import (
    PLACE,
    Annotated,
    AnswerJournal,
    annotate,
    load_prompt,
    summarize,
    usable,
)
from tessy.boundary.chat_endpoint import SCHEMA, ChatEndpoint, ChatOptions, EndpointFault, Refused
from tessy.boundary.labels import within
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.segments import Segment
from tessy.config.base import Generation
from tessy.config.methods import Method
from tessy.config.predictors import Annotator, LanguageModelAnnotator, LexiconAnnotator
from tessy.errors import UserError
from tessy.generation.models import NamedModel
from tessy.generation.writing import Task, write_responses
from tessy.records import Problem, Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.rollouts import Sample


@dataclass(frozen=True, slots=True)
class Segments:
    """What is annotated: segments, and by sample id the whole thinkings from which they were cut."""

    segments: Sequence[Segment]
    thinkings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asking:
    """The `name` and `seed` of an annotation, and the recipe's own `models` that may be asked."""

    name: str
    seed: int
    models: Mapping[Role, NamedModel]


def mark(job: Job[StageConfig], annotator: Annotator, task: Segments, how: Asking) -> Annotated:
    """Annotate with `annotator`; `how.name` distinguishes two annotations of one stage."""
    if isinstance(annotator, LexiconAnnotator):
        return mark_by_lexicon(annotator, task)
    if annotator.own is not None:
        return mark_by_own_model(job, annotator, annotator.own, task, how)
    return asyncio.run(mark_at_endpoint(job, annotator, task, how))


def mark_by_lexicon(annotator: LexiconAnnotator, task: Segments) -> Annotated:
    """Annotate with the lexicon, on whole thinkings: a segment may begin in the middle of a phrase."""
    lexicon = Lexicon.load(annotator.file)
    style = {sample_id: lexicon.style_spans(text) for sample_id, text in task.thinkings.items()}
    return Annotated(
        {s.segment_id: within(style[s.sample_id], s.start, s.start + len(s.text)) for s in task.segments},
        {"accepted": len(task.segments)},
    )


async def mark_at_endpoint(
    job: Job[StageConfig], annotator: LanguageModelAnnotator, task: Segments, how: Asking
) -> Annotated:
    prompt, where = load_prompt(annotator.file), job.execution.annotator
    assert where is not None
    options = ChatOptions(
        annotator.model,
        annotator.max_tokens,
        annotator.sampler.model_dump(),
        thinking=annotator.thinking,
    )
    endpoint = await ChatEndpoint.connect(
        where.url, options, key=os.environ.get(where.key_variable), timeout_s=where.timeout_s
    )
    async with endpoint:
        found = endpoint.options
        job.used.json_schema[how.name] = found.schema
        job.say(f"{how.name}: JSON schema {found.schema}, thinking switch {found.thinking is not None}")
        with AnswerJournal(job.work / f"{how.name}.answers.jsonl") as journal:
            try:
                return await annotate(
                    task.segments,
                    endpoint.ask,
                    journal,
                    prompt=prompt,
                    attempts=annotator.attempts,
                    # A second pass of the same annotator must not repeat the first.
                    seed=f"{how.seed}/{how.name}",
                    concurrency=job.execution.concurrency,
                    on_done=lambda done: job.progress(done, len(task.segments), "segments"),
                )
            except* (EndpointFault, Refused) as stopped:
                raise UserError(
                    f"execution.annotator.url: {endpoint.url}: {stopped.exceptions[0]}; run again when it "
                    "answers (what it has said is kept). A question and predictors.annotator.max_tokens for "
                    "its answer have to fit into the model's context"
                ) from None


def mark_by_own_model(
    job: Job[StageConfig], annotator: LanguageModelAnnotator, role: Role, task: Segments, how: Asking
) -> Annotated:
    """Ask the recipe's own model on its own engine: each question is a problem, and its answer is that of the
    response, with or without thinking, constrained to a JSON schema where the engine supports it.

    All open segments are asked at once, and those without a usable answer again in the next round.
    """
    prompt, answers = load_prompt(annotator.file), defaultdict[str, list[str]](list)
    method = Method("Annotation", thinking=role if annotator.thinking else None, answer=role)
    for attempt in range(annotator.attempts):
        left = [s for s in task.segments if not usable(answers[s.segment_id], s)]
        if not left:
            break
        asked = [question(s, prompt, f"{how.name}/{s.segment_id}@{attempt}") for s in left]
        writing = Task(
            f"{how.name}-{attempt}",
            method,
            {role: how.models[role]},
            Generation(max_tokens=annotator.max_tokens, sampler=annotator.sampler),
            how.seed,
            home=role,
            answer_schema=json.dumps(SCHEMA),
            must_finish=True,
        )
        responses = write_responses(job, asked, writing)
        for segment, response in zip(left, responses, strict=True):
            answer = "".join(span.text for span in response.spans if span.kind == "answer")
            answers[segment.segment_id].append(answer)
    return summarize(task.segments, answers)


def question(segment: Segment, prompt: str, sample_id: str) -> Sample:
    """A sample about `segment`. `sample_id` is also its seed: further attempts must not repeat the first."""
    return Sample(sample_id, Problem(segment.segment_id, prompt.replace(PLACE, segment.text.strip())))
