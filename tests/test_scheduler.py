"""Scheduling with scripted authors: traces, journals, crashes, and that chunk length changes nothing."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ANSWER, END, THINKING, assignment, continuation, samples, synthesize

from tessy.config.methods import Method
from tessy.engines import Continuation, Request
from tessy.engines.scripted import ScriptedEngine
from tessy.records import Problem, Trajectory
from tessy.synthesis.journal import Journal
from tessy.synthesis.lockstep import write_in_lockstep
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import samples_of
from tessy.synthesis.scheduler import UNWATCHED_CHUNK, Schedule, write, write_all


def test_each_author_writes_only_its_own_kind(tmp_path: Path) -> None:
    (trajectory,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=7))
    thinking = [span for span in trajectory.spans if span.kind in ("style", "capability")]
    assert "".join(span.text for span in thinking) == THINKING
    assert [span.author for span in thinking] == ["student", "teacher", "student", "teacher", "student"]
    assert all(span.text == span.text.lower() for span in thinking if span.author == "student")
    assert all(span.text == span.text.upper() for span in thinking if span.author == "teacher")
    assert trajectory.spans[-1].text == ANSWER
    assert trajectory.stop_reason == "finished"


@pytest.mark.parametrize("reach", [None, 9, 30, 512])
@pytest.mark.parametrize("chunk_tokens", [1, 2, 3, 5, 8, 20, 100])
def test_neither_chunks_nor_streaming_change_the_text(
    tmp_path: Path, chunk_tokens: int, reach: int | None
) -> None:
    (trajectory,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens, reach=reach))
    (reference,) = asyncio.run(synthesize(tmp_path / "reference", 1, chunk_tokens=11))
    assert [(s.author, s.text) for s in trajectory.spans] == [(s.author, s.text) for s in reference.spans]
    assert trajectory.student_token_ids == reference.student_token_ids


@settings(max_examples=60)
@given(
    thinking=st.text(alphabet="abXY .\n", min_size=1, max_size=60).filter(str.strip),
    chunk_tokens=st.integers(1, 25),
    reach=st.integers(1, 80),
)
def test_streams_literal_chunks_and_lock_step_accept_the_same_text(
    thinking: str, chunk_tokens: int, reach: int
) -> None:
    """For the same labels, whatever the text: Algorithm 1 has one answer."""
    spec = assignment(chunk_tokens, thinking=thinking)

    async def scheduled(reach: int | None, *, adaptive: bool = False) -> Trajectory:
        with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
            schedule = Schedule(1, reach, adaptive=adaptive)
            return await write(samples(1)[0], spec, journal, schedule, Meters())

    async def everyhow() -> list[Trajectory]:
        lockstep = await write_in_lockstep(samples(1), spec, Meters(), 1)
        adaptive = await scheduled(reach, adaptive=True)
        return [await scheduled(None), await scheduled(reach), adaptive, *lockstep]

    literal, *others = asyncio.run(everyhow())
    for other in others:
        assert [(s.author, s.text) for s in other.spans] == [(s.author, s.text) for s in literal.spans]
        assert other.student_token_ids == literal.student_token_ids


def test_training_ids_are_the_prompt_the_thinking_and_the_answer(tmp_path: Path) -> None:
    (trajectory,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=9))
    response = [*map(ord, THINKING), END, *map(ord, ANSWER), END]
    assert trajectory.student_token_ids[trajectory.prompt_tokens :] == response
    assert trajectory.prompt_tokens == len("problem 0|")


def test_tokens_are_generated_or_rolled_back_but_never_lost(tmp_path: Path) -> None:
    (trajectory,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=20))
    ends = 2
    accepted = len(THINKING) + len(ANSWER) + ends
    assert trajectory.generated_tokens == accepted + trajectory.rolled_back_tokens


@pytest.mark.parametrize("method", ["teacher_only", "student_only", "teacher_think", "teacher_answer"])
def test_methods_without_cooperation_need_no_predictor(tmp_path: Path, method: str) -> None:
    (trajectory,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=9, method=method))
    spec = assignment(9, method).method
    by_kind = {span.kind: span for span in trajectory.spans}
    assert (by_kind["thinking"].author, by_kind["answer"].author) == (spec.thinking, spec.answer)
    assert by_kind["thinking"].text == THINKING


def test_a_trace_that_does_not_fit_is_a_typed_outcome(tmp_path: Path) -> None:
    (trajectory,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=7, max_tokens=20))
    assert trajectory.stop_reason == "length"
    assert trajectory.tokens <= 20


@pytest.mark.parametrize("reach", [None, 64])
def test_an_answer_under_a_schema_is_one_request_and_one_turn(tmp_path: Path, reach: int | None) -> None:
    """However long: a schema begins anew with every request."""
    asked: list[Request] = []

    class Noting(ScriptedEngine):
        def open(self, request: Request) -> Continuation:
            asked.append(request)
            return super().open(request)

    answer = [ord("x")] * 3 * UNWATCHED_CHUNK + [END]
    engine = Noting(lambda ids: answer if END in ids else continuation(ids))
    spec = assignment(5, max_tokens=5000)
    authors = {role: replace(author, engine=engine) for role, author in spec.authors.items()}
    spec = replace(spec, authors=authors, answer_schema="{}")
    with Journal(tmp_path) as journal:
        asyncio.run(write(samples(1)[0], spec, journal, Schedule(1, reach), Meters()))
    with Journal(tmp_path) as journal:
        turns = journal.turns(samples(1)[0].sample_id)
    assert [request.schema for request in asked] == [None] * (len(asked) - 1) + ["{}"]
    assert [len(turn.text) for turn in turns if turn.part == "answer"] == [3 * UNWATCHED_CHUNK]


def test_what_nobody_thinks_about_begins_in_its_answer_and_goes_on_there(tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def answers(ids: list[int]) -> list[int]:
        asked.append(ids)
        return [*map(ord, whole), END][len(ids) - len(opened) :]

    whole, opened = " ".join(map(str, range(UNWATCHED_CHUNK))), [*map(ord, "problem 0|"), END]
    (sample,), spec = samples(1), assignment(5, "student_only")
    author = replace(spec.authors["student"], engine=ScriptedEngine(answers))
    method = Method("Annotation", thinking=None, answer="student")
    spec = replace(spec, method=method, authors={"student": author})

    def written(journal: Journal) -> Trajectory:
        return asyncio.run(write(sample, spec, journal, Schedule(1), Meters()))

    with Journal(tmp_path / "whole") as journal:
        trajectory = written(journal)
    assert asked == [opened]
    assert [(span.kind, span.text) for span in trajectory.spans] == [("answer", whole)]
    assert trajectory.student_token_ids == [*opened, *map(ord, whole), END]
    assert trajectory.stop_reason == "finished"
    with Journal(tmp_path / "whole") as journal, Journal(tmp_path / "interrupted") as other:
        first = journal.turns(sample.sample_id)[0]
        other.append(sample.sample_id, first)
    with Journal(tmp_path / "interrupted") as journal:
        assert written(journal) == trajectory
    assert asked[1:] == [[*opened, *first.ids, *first.held]]


@pytest.mark.parametrize(("kv_tokens", "at_first", "later"), [(None, 16, 16), (1100, 2, 16), (1, 1, 1)])
def test_as_many_samples_are_let_in_as_the_kv_caches_hold(
    tmp_path: Path, kv_tokens: int | None, at_first: int, later: int
) -> None:
    """Half the cap of 1,000 tokens is expected of each until some have shown to be shorter."""
    inside: set[str] = set()
    crowds: list[int] = []

    class Crowded(ScriptedEngine):
        def open(self, request: Request) -> Continuation:
            inside.add(request.sample_id)
            crowds.append(len(inside))
            return super().open(request)

        def release(self, sample_id: str) -> None:
            inside.discard(sample_id)

    engine, spec = Crowded(continuation), assignment(8)
    spec = replace(spec, authors={role: replace(one, engine=engine) for role, one in spec.authors.items()})
    finished: list[int] = []
    with Journal(tmp_path) as journal:
        schedule = Schedule(16, 64, kv_tokens)
        done = write_all(samples(60), spec, journal, schedule, Meters(), lambda: finished.append(len(crowds)))
        asyncio.run(done)
    assert len(finished) == 60
    assert max(crowds[: finished[0]]) == at_first
    assert max(crowds) == later


def test_two_questions_alike_are_two_samples() -> None:
    problem = Problem("p", "the same")
    assert [s.sample_id for s in samples_of([problem, problem], repeats=2)] == ["p#0", "p#1", "p#2", "p#3"]
