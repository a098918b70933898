"""Runs samples: every one an independent task, none waiting for another.

A task asks its trace whose turn it is, asks that author's engine for a chunk and its predictor where
the chunk stops being the author's own, lets `cooperation` decide, journals the turn, and goes on.
Engines and predictors batch whatever is asked at the same moment; there is no step barrier.

Methods with one author of the thinking are the same loop without a predictor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tessy.chat import Renderer, close_thinking_text
from tessy.engines import Engine, Request
from tessy.records import Problem, Role, Span, StopReason, Trajectory
from tessy.synthesis.cooperation import Trace, Turn, TurnEnd, cut, first_foreign, spans
from tessy.synthesis.journal import Journal
from tessy.synthesis.methods import Method

UNINTERRUPTED_TOKENS = 256
"""Chunk length where nobody interrupts the author: how much of a trace a crash can cost."""


class Predictor(Protocol):
    """Says, token by token, what belongs to the other author."""

    async def foreign(self, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's), for every token of `chunk`."""


@dataclass(frozen=True, slots=True)
class Author:
    """A model at work: its name, what runs it, and what watches it in cooperation."""

    model: str
    engine: Engine
    predictor: Predictor | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What all samples of a run share.

    `authors` are the models the method needs; `renderers` theirs and that of `home`, the role in whose
    ids a trajectory is kept (the student, who is trained on it). `max_tokens` caps a response in its
    author's tokens.
    """

    name: str
    method: Method
    authors: Mapping[Role, Author]
    renderers: Mapping[Role, Renderer]
    home: Role
    chunk_tokens: int
    max_tokens: int
    seed: int
    sampler: dict[str, float]

    @property
    def cooperative(self) -> bool:
        return self.method.thinking == "both"


@dataclass(frozen=True, slots=True)
class Sample:
    """One response to write. `sample_id` tells apart several samples of one problem."""

    sample_id: str
    problem: Problem


def samples_of(problems: Iterable[Problem], repeats: int = 1) -> list[Sample]:
    """`repeats` samples per problem; a problem that occurs twice gets its own ids as well."""
    seen: dict[str, int] = {}
    out = []
    for problem in problems:
        for _ in range(repeats):
            number = seen[problem.problem_id] = seen.get(problem.problem_id, -1) + 1
            out.append(Sample(f"{problem.problem_id}#{number}", problem))
    return out


async def write_all(
    samples: Sequence[Sample],
    assignment: Assignment,
    journal: Journal,
    concurrency: int,
    on_done: Callable[[Trajectory], None] = lambda _: None,
) -> list[Trajectory]:
    """Write every sample, at most `concurrency` at once; the order of the result is that of `samples`."""
    gate = asyncio.Semaphore(concurrency)

    async def one(sample: Sample) -> Trajectory:
        async with gate:
            trajectory = await write(sample, assignment, journal)
            on_done(trajectory)
            return trajectory

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(sample)) for sample in samples]
    return [task.result() for task in tasks]


async def write(sample: Sample, assignment: Assignment, journal: Journal) -> Trajectory:
    """Write one sample from where its journal stops."""
    method = assignment.method
    start: Role = "student" if method.thinking == "both" else method.thinking
    trace = Trace(thinking_starts=start, answer_author=method.answer)
    views = {role: View(renderer, sample.problem.prompt) for role, renderer in assignment.renderers.items()}
    for turn in journal.turns.get(sample.sample_id, ()):
        trace = _advance(trace, turn, views)
    while trace.part is not None:
        turn = await _next_turn(trace, sample, assignment, views[trace.author])
        journal.append(sample.sample_id, turn)
        trace = _advance(trace, turn, views)
    for author in assignment.authors.values():
        author.engine.release(sample.sample_id)
    return _trajectory(sample, trace, assignment, views)


class View:
    """One model's ids of a trace: extended by what is accepted, never encoded anew."""

    def __init__(self, renderer: Renderer, prompt: str) -> None:
        self.renderer = renderer
        self.ids = renderer.prompt_ids(prompt)
        self.prompt_tokens = len(self.ids)
        self.ids += renderer.open_thinking_ids()
        self._foreign = ""

    def add_own(self, ids: Sequence[int]) -> None:
        self._take_in()
        self.ids += ids

    def add_foreign(self, text: str) -> None:
        """Text of the other model, encoded once, when this model's turn comes or the trace ends."""
        self._foreign += text

    def close_thinking(self, thinking: str) -> None:
        self._take_in()
        self.ids += self.renderer.close_thinking_ids(thinking)

    def read(self) -> list[int]:
        """All ids so far, the other model's words taken in."""
        self._take_in()
        return self.ids

    def _take_in(self) -> None:
        if self._foreign:
            self.ids += self.renderer.encode(self._foreign)
            self._foreign = ""


def _advance(trace: Trace, turn: Turn, views: Mapping[Role, View]) -> Trace:
    for role, view in views.items():
        if role == turn.author:
            view.add_own(turn.ids)
        else:
            view.add_foreign(turn.text)
    trace = trace.then(turn)
    if turn.part == "thinking" and turn.ended_by == "end":
        for view in views.values():
            view.close_thinking(trace.text("thinking"))
    return trace


async def _next_turn(trace: Trace, sample: Sample, assignment: Assignment, view: View) -> Turn:
    part = trace.part
    assert part is not None
    author = assignment.authors[trace.author]
    watched = part == "thinking" and assignment.cooperative
    held = trace.turns[-1].held if trace.turns and trace.turns[-1].ended_by == "chunk" else ()
    prefix = [*view.read(), *held]
    budget = assignment.max_tokens - (len(prefix) - view.prompt_tokens)
    size = min(assignment.chunk_tokens if watched else UNINTERRUPTED_TOKENS, budget)
    ends = view.renderer.thinking_end_ids if part == "thinking" else view.renderer.answer_end_ids
    stream = f"{assignment.seed}/{trace.author}/{sample.sample_id}"
    new = await author.engine.open(Request(sample.sample_id, prefix, size, ends, stream)).finished()
    ended = new.finish_reason == "stop"
    proposal = [*held, *new.token_ids[: -1 if ended else None]]
    texts = view.renderer.pieces(proposal)
    chunk = "".join(texts)
    foreign_at = None
    if watched and author.predictor is not None:
        labels = await author.predictor.foreign(trace.text("thinking"), chunk)
        foreign_at = first_foreign(labels, chunk, stalled=trace.stalled)
    decision = cut(chunk, foreign_at, ended=ended, stalled=trace.stalled)
    spent = not ended and not decision.hand_over and len(new.token_ids) >= budget
    keep = len(chunk) if spent else decision.keep
    ended_by: TurnEnd = "length" if spent else _ENDED_BY[decision.hand_over, decision.end]
    kept, used = _ids_within(view.renderer, proposal, texts, keep, whole_ids=ended_by == "chunk")
    return Turn(
        part=part,
        author=trace.author,
        text=chunk[:keep] if ended_by != "chunk" else "".join(texts[:used]),
        ids=tuple(kept),
        held=tuple(proposal[used:]) if ended_by == "chunk" else (),
        generated=len(new.token_ids),
        rolled_back=len(proposal) + ended - used if ended_by == "boundary" else 0,
        ended_by=ended_by,
    )


_ENDED_BY: dict[tuple[bool, bool], TurnEnd] = {
    (False, False): "chunk",
    (True, False): "boundary",
    (False, True): "end",
}


def _ids_within(
    renderer: Renderer, ids: list[int], texts: list[str], keep: int, *, whole_ids: bool
) -> tuple[list[int], int]:
    """Ids whose text is the first `keep` characters, and how many of the proposed ids those use up.

    An id that reaches beyond is left out (`whole_ids`) or replaced by the encoding of its accepted part.
    """
    reached = 0
    for count, text in enumerate(texts):
        if reached + len(text) > keep:
            part = "" if whole_ids else text[: keep - reached]
            return [*ids[:count], *renderer.encode(part)], count
        reached += len(text)
    return ids, len(ids)


def _trajectory(
    sample: Sample, trace: Trace, assignment: Assignment, views: Mapping[Role, View]
) -> Trajectory:
    view = views[assignment.home]
    thinking = trace.text("thinking")
    markup = Span("student", "markup", close_thinking_text(thinking), 0, "template")
    finished = trace.turns[-1].ended_by == "end"
    ids = [*view.read(), *view.renderer.close_answer_ids()] if finished else view.read()
    return Trajectory(
        sample_id=sample.sample_id,
        problem_id=sample.problem.problem_id,
        method=assignment.name,
        prompt=sample.problem.prompt,
        messages=[{"role": "user", "content": sample.problem.prompt}],
        spans=spans(trace, cooperative=assignment.cooperative, closing=markup),
        student_token_ids=ids,
        prompt_tokens=view.prompt_tokens,
        stop_reason=_stop_reason(trace, finished),
        generated_tokens=sum(turn.generated for turn in trace.turns),
        rolled_back_tokens=sum(turn.rolled_back for turn in trace.turns),
        seed=assignment.seed,
        sampler=dict(assignment.sampler),
        models={role: author.model for role, author in assignment.authors.items()},
    )


def _stop_reason(trace: Trace, finished: bool) -> StopReason:
    if not finished:
        return "length"
    return "finished" if trace.text("thinking").strip() and trace.text("answer").strip() else "empty"
