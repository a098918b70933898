"""How far continuations are opened: whole chunks, never more than allowed, about what spans need."""

from __future__ import annotations

import math
import sys

from hypothesis import given
from hypothesis import strategies as st

from tessy.records import Role
from tessy.synthesis.cooperation import Turn, TurnEnd
from tessy.synthesis.span_lengths import LEAST, UNKNOWN, Pace, SpanLengths


def turn(author: Role, tokens: int, ended_by: TurnEnd = "boundary") -> Turn:
    return Turn("thinking", author, "x" * tokens, tuple(range(tokens)), (), tokens, 0, ended_by)


def test_nothing_known_is_no_reason_to_stop_early() -> None:
    assert SpanLengths().continuation_tokens("student", 4, 128) == 128


def test_spans_of_one_length_are_read_to_their_end_and_no_further() -> None:
    span_lengths = SpanLengths()
    for n in range(50):
        span_lengths.took("a", turn("teacher", 5, "chunk"))
        span_lengths.took("b", turn("student", 30))
        span_lengths.took("a", turn("teacher", 3 + n % 2))
    assert span_lengths.continuation_tokens("teacher", 4, 128) == 12
    assert span_lengths.continuation_tokens("student", 4, 128) == 32
    assert span_lengths.continuation_tokens("student", 4, 20) == 20


def test_the_end_of_thinking_is_no_boundary() -> None:
    span_lengths = SpanLengths()
    span_lengths.took("a", turn("student", 500, "end"))
    assert span_lengths.continuation_tokens("student", 4, 128) == 128
    for _ in range(40):
        span_lengths.took("a", turn("student", 10))
    assert span_lengths.continuation_tokens("student", 4, 128) == 12


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["chunk", "boundary", "end"])), max_size=40),
    st.integers(1, 30),
    st.integers(1, 10),
)
def test_the_reach_is_whole_chunks_or_all_that_is_allowed(
    turns: list[tuple[int, TurnEnd]], chunk: int, most: int
) -> None:
    span_lengths = SpanLengths()
    for tokens, ended_by in turns:
        span_lengths.took("a", turn("student", tokens, ended_by))
    reach = span_lengths.continuation_tokens("student", chunk, chunk * most)
    assert reach % chunk == 0
    assert chunk <= reach <= chunk * most


def test_looks_come_as_often_as_answers_do() -> None:
    pace = Pace()
    assert (pace.behind("student"), pace.interval("student", 16)) == (0, LEAST)
    for _ in range(200):
        pace.wrote("student", 10, 0.1)
        pace.judged(0.08)
    assert round(pace.behind("student"), 3) == 8
    assert pace.interval("student", 16) == 8
    assert pace.interval("student", 6) == 6


def test_a_continuation_runs_on_as_far_as_judging_takes() -> None:
    """Quick answers are worth no early end; the slower they are, the further one opens, within bounds."""
    span_lengths = SpanLengths()
    for n in range(80):
        span_lengths.took("a", turn("student", 8 + 8 * (n % 2)))
    reaches = [
        span_lengths.continuation_tokens_behind("student", 512, behind) for behind in (0, 1, 10, 20, 40, 1000)
    ]
    assert reaches[:2] == [512, 512]
    assert 12 < reaches[2] <= reaches[3] < reaches[4] <= reaches[5] < 100


def test_a_pass_that_costs_much_by_itself_is_worth_long_questions() -> None:
    span_lengths = SpanLengths()
    assert span_lengths.worth_asking("student", 100) == sys.maxsize, "no length is known"
    for n in range(80):
        span_lengths.took("a", turn("student", 8 + 8 * (n % 2)))
    worth = [span_lengths.worth_asking("student", fixed) for fixed in (0, 2, 10, 50, 500)]
    assert worth == sorted(worth)
    assert LEAST <= worth[0] < 12 < worth[-1] < 50
    assert span_lengths.worth_asking("student", math.inf) == sys.maxsize, "tokens cost nothing"


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60), st.floats(0, 1e9))
def test_a_question_is_never_empty(lengths: list[int], fixed_tokens: float) -> None:
    span_lengths = SpanLengths()
    for tokens in lengths:
        span_lengths.took("a", turn("student", tokens))
    assert span_lengths.worth_asking("student", fixed_tokens) >= LEAST


def test_a_predictor_is_asked_when_much_of_the_time_to_its_next_pass_is_over() -> None:
    pace = Pace()
    assert pace.least("student", 1.0) == LEAST, "nothing is known of the author"
    assert pace.least("student", None) == UNKNOWN
    pace.wrote("student", 10, 0.1)
    assert pace.least("student", 1.0) == 40
    assert pace.least("student", 0.0) == LEAST
