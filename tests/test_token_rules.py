"""Switches by the active model's own tokens: its uncertainty, or their number; and the traces they make."""

from __future__ import annotations

import asyncio
import math
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import THINKING, CharacterRenderer, assignment, continuation, samples, synthesize

from tessy.boundary import TokenRule
from tessy.boundary.switches import EveryTokens
from tessy.boundary.uncertainty import Uncertainty, entropy, margin
from tessy.config.switches import LIKELIEST
from tessy.engines.scripted import ScriptedEngine
from tessy.records import Role, Trajectory
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Rollout
from tessy.synthesis.scheduler import Schedule, write

SURE, TORN = [math.log(0.9), *[math.log(0.1 / 7)] * 7], [math.log(1 / 8)] * 8
MEASURES = [Uncertainty("entropy", 1.2), Uncertainty("margin", 0.3)]

logprobs = st.lists(st.floats(-30, 0), min_size=1, max_size=LIKELIEST).map(lambda row: sorted(row)[::-1])


@given(logprobs)
def test_entropy_lies_between_nothing_and_that_of_a_fair_die(row: list[float]) -> None:
    assert -1e-9 <= entropy(row) <= math.log(len(row)) + 1e-9
    assert entropy([value - 3 for value in row]) == pytest.approx(entropy(row))


def test_the_measures_of_distributions_one_knows() -> None:
    assert entropy([math.log(0.5)] * 2) == pytest.approx(math.log(2))
    assert entropy([0.0, -9999.0]) == 0
    assert margin([math.log(0.6), math.log(0.25)]) == pytest.approx(0.35)
    assert margin([0.0]) == 1


@pytest.mark.parametrize("rule", MEASURES)
def test_more_than_the_likeliest_changes_nothing(rule: Uncertainty) -> None:
    assert rule.foreign(0, TORN)
    assert not rule.foreign(0, SURE)
    for row in (TORN, SURE):
        assert rule.foreign(0, [*row, -5.0, -9999.0]) == rule.foreign(0, row)


def ruled(chunk_tokens: int, rule: TokenRule, thinking: str = THINKING) -> Assignment:
    """The scripted authors under a rule, each torn wherever it would write in the other's case."""
    spec = assignment(chunk_tokens, thinking=thinking)

    def engine(role: Role) -> ScriptedEngine:
        foreign = str.isupper if role == "student" else str.islower
        return ScriptedEngine(
            lambda ids: continuation(ids, thinking),
            lambda token: TORN if token < 0x110000 and foreign(chr(token)) else SURE,
        )

    authors = {
        role: replace(author, predictor=None, rule=rule, engine=engine(role))
        for role, author in spec.authors.items()
    }
    return replace(spec, authors=authors)


async def written(spec: Assignment, reach: int | None) -> Trajectory:
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        return await write(samples(1)[0], spec, journal, Schedule(1, reach), Meters())


@pytest.mark.parametrize("rule", MEASURES)
@pytest.mark.parametrize("chunk_tokens", [1, 4, 20])
def test_a_torn_author_hands_over_as_a_watched_one_does(
    tmp_path: Path, rule: Uncertainty, chunk_tokens: int
) -> None:
    (watched,) = asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=11))
    found = asyncio.run(written(ruled(chunk_tokens, rule), None))
    assert [(s.author, s.text) for s in found.spans] == [(s.author, s.text) for s in watched.spans]
    assert found.student_token_ids == watched.student_token_ids


@settings(max_examples=120)
@given(
    rule=st.sampled_from([MEASURES[0], EveryTokens(1), EveryTokens(7)]),
    thinking=st.text(alphabet="abXY .\n", min_size=1, max_size=60).filter(str.strip),
    chunk_tokens=st.integers(1, 25),
    reach=st.integers(1, 80),
)
def test_streams_and_literal_chunks_accept_the_same_text(
    rule: TokenRule, thinking: str, chunk_tokens: int, reach: int
) -> None:
    spec = ruled(chunk_tokens, rule, thinking)
    literal, streamed = (asyncio.run(written(spec, how)) for how in (None, reach))
    assert [(s.author, s.text) for s in streamed.spans] == [(s.author, s.text) for s in literal.spans]


@settings(max_examples=60)
@given(
    words=st.lists(st.sampled_from(["a", "X.", "abc", "XY"]), min_size=1, max_size=20),
    chunk_tokens=st.integers(1, 25),
    count=st.integers(4, 12),
)
def test_every_so_many_tokens_the_other_author_writes(
    words: list[str], chunk_tokens: int, count: int
) -> None:
    """Where a word and the space before it are among so many: nobody is ever without a word to write."""
    spec = ruled(chunk_tokens, EveryTokens(count), " ".join(words))
    found = [s for s in asyncio.run(written(spec, None)).spans if s.kind in ("style", "capability")]
    assert "".join(span.text for span in found) == " ".join(words)
    assert all(one.author != two.author for one, two in pairwise(found))
    assert all(1 <= span.tokens <= count for span in found)


def test_a_whole_thinking_is_the_authors_by_turns() -> None:
    from tessy.stages.switches import alternating

    renderer: Any = CharacterRenderer()
    (found,) = alternating(renderer, ["ab c"], EveryTokens(2))
    assert found == [(0, True), (1, True), (2, False), (3, False)]


def test_a_word_that_the_count_cuts_in_two_is_the_next_authors() -> None:
    spec = ruled(5, EveryTokens(8), "one two three. four")
    found = asyncio.run(written(spec, None)).spans
    assert [(s.author, s.text) for s in found[:3]] == [
        ("student", "one two"),
        ("teacher", " three."),
        ("student", " four"),
    ]


@pytest.mark.parametrize("rule", [MEASURES[0], EveryTokens(8)])
@pytest.mark.parametrize("chunk_tokens", [3, 7])
def test_a_trace_gone_on_with_after_any_turn_is_the_same(
    tmp_path: Path, chunk_tokens: int, rule: TokenRule
) -> None:
    """What is held back is written anew, because nobody noted what the rule said of it."""
    spec, sample = ruled(chunk_tokens, rule), samples(1)[0]
    whole = asyncio.run(written(spec, None))
    with Journal(tmp_path / "whole") as journal:
        asyncio.run(write(sample, spec, journal, Schedule(1, None), Meters()))
    with Journal(tmp_path / "whole") as journal:
        turns = journal.turns(sample.sample_id)
    assert any(turn.held for turn in turns)
    for count in range(len(turns)):
        assert (
            Rollout(sample, spec, turns[:count]).held == ()
            or not Rollout(sample, spec, turns[:count]).watched
        )
        with Journal(tmp_path / str(count)) as journal:
            journal.claim([sample.sample_id])
            for turn in turns[:count]:
                journal.append(sample.sample_id, turn)
        with Journal(tmp_path / str(count)) as journal:
            again = asyncio.run(write(sample, spec, journal, Schedule(1, None), Meters()))
        assert [(s.author, s.text) for s in again.spans] == [(s.author, s.text) for s in whole.spans]
