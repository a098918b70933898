"""Annotates the style of segments with the recipe's annotator (`tessy.boundary`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessy.boundary.annotators import PLACE, Annotated, annotate, load_prompt, summarize, usable
from tessy.boundary.chat_endpoint import SCHEMA
from tessy.boundary.labels import within
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.segments import Segment
from tessy.config.predictors import Annotator, LanguageModelAnnotator, LexiconAnnotator
from tessy.generation.asking import Asking, ask_own_model, at_endpoint
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig


@dataclass(frozen=True, slots=True)
class Segments:
    """What is annotated: segments, and by sample id the whole thinkings from which they were cut."""

    segments: Sequence[Segment]
    thinkings: Mapping[str, str]


def mark(job: Job[StageConfig], annotator: Annotator, task: Segments, how: Asking) -> Annotated:
    """Annotate with `annotator`; `how.name` distinguishes two annotations of one stage."""
    if isinstance(annotator, LexiconAnnotator):
        return mark_by_lexicon(annotator, task)
    if annotator.own is not None:
        return mark_by_own_model(job, annotator, task, how)
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
    prompt = load_prompt(annotator.file)
    async with at_endpoint(job, annotator, how, schema=True) as (endpoint, journal):
        found = endpoint.options
        job.used.json_schema[how.name] = found.schema
        job.say(f"{how.name}: JSON schema {found.schema}, thinking switch {found.thinking is not None}")
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


def mark_by_own_model(
    job: Job[StageConfig], annotator: LanguageModelAnnotator, task: Segments, how: Asking
) -> Annotated:
    """Ask the recipe's own model, with or without thinking, constrained to a JSON schema where its engine
    supports it."""
    prompt, by_id = load_prompt(annotator.file), {s.segment_id: s for s in task.segments}
    answers = ask_own_model(
        job,
        {name: prompt.replace(PLACE, segment.text.strip()) for name, segment in by_id.items()},
        annotator,
        how,
        lambda name, given: usable(given, by_id[name]),
        json.dumps(SCHEMA),
    )
    return summarize(task.segments, answers)
