"""The cut rule and the trace, as pure rules: what is kept, who writes next, and that k does not matter."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tessy.records import Span
from tessy.synthesis.cooperation import (
    State,
    Turn,
    cut,
    first_foreign,
    first_word_end,
    spans,
    whole_words,
)

TEXT = st.text(alphabet="ab1_ .\n(漢é", max_size=30)


def test_text_before_the_boundary_is_kept_and_the_author_changes() -> None:
    decision = cut("Okay, so x % 2", 8, ended=False, stalled=False)
    assert (decision.keep, decision.hand_over, decision.end) == (len("Okay, so"), True, False)


def test_a_word_cut_in_two_is_dropped_whole() -> None:
    assert cut("so far barbell", len("so far bar"), ended=False, stalled=False).keep == len("so far")


def test_a_chunk_keeps_no_word_that_may_go_on() -> None:
    assert cut("keep going", None, ended=False, stalled=False).keep == len("keep")
    assert cut("keep going.", None, ended=False, stalled=False).keep == len("keep going.")


def test_everything_is_kept_when_the_author_ends_the_part() -> None:
    decision = cut("and done\n", None, ended=True, stalled=False)
    assert (decision.keep, decision.hand_over, decision.end) == (len("and done\n"), False, True)


def test_a_boundary_before_the_end_marker_wins() -> None:
    decision = cut("x * 2 Hmm", len("x * 2"), ended=True, stalled=False)
    assert (decision.keep, decision.hand_over, decision.end) == (len("x * 2"), True, False)


def test_characters_of_scripts_without_spaces_may_each_end_a_word() -> None:
    assert whole_words("漢字", 1) == 1
    assert whole_words("漢字", 2) == 2


def test_accents_vowel_signs_and_joiners_are_inside_words() -> None:
    for word in ("cafe\u0301s", "हिन्दी", "می\u200cخواهم"):
        text = "so " + word
        assert {whole_words(text, at) for at in range(4, len(text) + 1)} == {2}


def test_after_an_empty_turn_the_next_author_writes_at_least_one_word() -> None:
    chunk = " Thus we go"
    labels = [(0, True), (5, False), (8, True)]
    assert first_foreign(labels, chunk, stalled=False) == 0
    at = first_foreign(labels, chunk, stalled=True)
    assert at == 8
    assert cut(" Thus", 0, ended=False, stalled=True).keep == len(" Thus")


@given(TEXT, st.integers(0, 30))
def test_a_cut_never_reaches_past_the_boundary_nor_ends_in_space(text: str, at: int) -> None:
    at = min(at, len(text))
    keep = whole_words(text, at)
    assert keep <= at
    assert text[:keep] == text[:keep].rstrip()


@given(TEXT, st.integers(0, 30))
def test_a_cut_splits_no_word(text: str, at: int) -> None:
    keep = whole_words(text, min(at, len(text)))
    if 0 < keep < len(text):
        ascii_word = [c.isalnum() and c.isascii() for c in text[keep - 1 : keep + 1]]
        assert not all(ascii_word)


@given(TEXT, st.integers(0, 30), st.integers(0, 30))
def test_keeping_piecewise_never_passes_what_would_be_kept_at_once(text: str, chunk: int, at: int) -> None:
    """Text accepted at the end of a chunk is text that a later boundary would keep as well."""
    at = min(at, len(text))
    chunk = min(chunk, at)
    assert whole_words(text[:chunk], chunk) <= whole_words(text, at)


@given(TEXT.filter(str.strip))
def test_the_first_word_is_never_empty(text: str) -> None:
    assert text[: first_word_end(text)].strip()


def turn(author: str, text: str, ended_by: str, part: str = "thinking") -> Turn:
    return Turn(part, author, text, tuple(range(len(text))), (), len(text), 0, ended_by)  # type: ignore[arg-type]


def test_a_trace_passes_from_author_to_author_and_ends_in_the_answer() -> None:
    state = State("thinking", "student", "student")
    state = state.then(turn("student", "Okay.", "boundary"))
    assert state.author == "teacher"
    state = state.then(turn("teacher", "\nx", "chunk"))
    assert state.author == "teacher"
    state = state.then(turn("teacher", " * 2", "boundary")).then(turn("student", "\nGood.", "end"))
    assert (state.part, state.author) == ("answer", "student")
    state = state.then(turn("student", "code", "end", part="answer"))
    assert state.part is None


def test_a_trace_is_stalled_when_two_authors_in_a_row_wrote_nothing() -> None:
    state = State("thinking", "student", "student")
    assert not state.stalled
    state = state.then(turn("student", "", "boundary"))
    assert state.stalled
    assert state.then(turn("teacher", "", "chunk")).stalled
    assert not state.then(turn("teacher", "x", "chunk")).stalled
    assert not state.then(turn("teacher", "x", "boundary")).stalled


def test_spans_merge_turns_of_one_author() -> None:
    turns = [
        turn("student", "Okay.", "boundary"),
        turn("teacher", "\nx", "chunk"),
        turn("teacher", " * 2", "boundary"),
        turn("student", "\nGood.", "end"),
        turn("student", "code", "end", part="answer"),
    ]
    closing = Span("student", "markup", "</think>", 0, "template")
    found = [
        (s.author, s.kind, s.text, s.tokens, s.ended_by)
        for s in spans(turns, cooperative=True, closing=closing)
    ]
    assert found == [
        ("student", "style", "Okay.", 5, "boundary"),
        ("teacher", "capability", "\nx * 2", 6, "boundary"),
        ("student", "style", "\nGood.", 6, "end_of_thinking"),
        ("student", "markup", "</think>", 0, "template"),
        ("student", "answer", "code", 4, "end_of_answer"),
    ]
    assert all(a[:2] != b[:2] for a, b in pairwise(found))


def test_a_part_cut_off_ends_the_trace() -> None:
    for end in ("length", "repetition"):
        assert State("thinking", "teacher", "teacher").then(turn("teacher", "on and on", end)).part is None


def test_the_release_keeps_the_word_a_boundary_falls_into() -> None:
    decision = cut("so far barbell x", len("so far bar"), ended=False, stalled=False, hand_over="extend")
    assert decision.keep == len("so far barbell")
