"""Spans of an answer are found exactly where they stand, or the answer is refused with the right reason."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.matching import ACCEPTED, OUTCOMES, locate, parse, read_answer

SEGMENT = "Okay, so we need x % 2 == 0.\nHmm, wait, that\u2019s wrong. So x*3 then, so be it."


def marked(answer: object, segment: str = SEGMENT) -> tuple[str, list[str]]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    reading = read_answer(text, segment)
    return reading.outcome, [segment[start:end] for start, end in reading.spans]


def test_verbatim_spans_with_the_space_before_them() -> None:
    assert marked(["Okay, so", "Hmm, wait,"]) == ("accepted", ["Okay, so", "\nHmm, wait,"])


def test_neighbours_are_one_span() -> None:
    assert marked(["Hmm,", "wait,"]) == ("accepted", ["\nHmm, wait,"])


def test_nothing_to_mark_is_an_answer() -> None:
    assert marked([]) == ("accepted", [])


def test_a_later_occurrence_is_taken_where_order_asks_for_it() -> None:
    assert marked(["Hmm,", "then, so"])[1] == ["\nHmm,", " then, so"]


def test_quotes_spaces_and_accents_may_be_written_otherwise() -> None:
    assert marked(["Hmm,  wait, that's"])[1] == ["\nHmm, wait, that\u2019s"]
    assert marked(["x \u2026 voila\u0300"], "so x ... voil\u00e0 !")[1] == [" x ... voil\u00e0"]


def test_a_span_inside_a_word_is_not_in_the_text() -> None:
    assert marked(["ha"])[0] == "not_in_text"
    # Its vowel is a mark of its own.
    assert marked(["क"], "की बात")[0] == "not_in_text"


def test_line_breaks_of_either_kind_are_white_space() -> None:
    assert marked('["Okay,\r\nso"]', "x\nOkay,\nso y") == ("accepted", ["\nOkay,\nso"])
    assert marked(["Okay,\nso"], "x\r\nOkay,\r\nso y") == ("accepted", ["\r\nOkay,\r\nso"])


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ('Sure! Here is the array:\n["Okay, so", "Hmm, wait,"]\nI hope it helps.', "accepted_with_prose"),
        ('```json\n["Okay, so"]\n```', "accepted_with_prose"),
        ('{"spans": ["Okay, so"]}', "accepted_with_prose"),
        ('<think>\n["no"] ...\n</think>\n\n["Okay, so"]', "accepted"),
        ('The [style] spans are ["Okay, so"].', "accepted_with_prose"),
        ('["Okay, so", "Hmm, wai', "truncated_json"),
        ('["Okay, so", ["Hmm, wait,"], "th', "truncated_json"),
        ("[", "truncated_json"),
        ('["Hmm,\nwait,"]', "accepted"),
        ('["</think>", "Okay, so"', "truncated_json"),
        ("I see no style in it.", "no_json"),
        ("[Okay, so]", "no_json"),
        ('[{"span": "Okay, so"}]', "not_strings"),
        ('["Okay, so", 3]', "not_strings"),
        ('["Okay, so", " "]', "not_strings"),
        ('[["Okay, so"], ["Hmm, wait,"]]', "not_strings"),
        ("[" * 5000, "not_strings"),
        ('["Okay, so", ' + "[" * 5000, "not_strings"),
        ('[{"a": ' * 5000, "not_strings"),
        ('["Okay,\0 so"]', "not_in_text"),
        ('["\\ud800"]', "not_in_text"),
        ("[" + "1" * 5000 + "]", "no_json"),
        ("<think>\nI was cut off", "no_json"),
        (" \n", "empty_answer"),
        ('["Okay, then"]', "not_in_text"),
        ('["Hmm, wait,", "Okay, so"]', "wrong_order"),
        ('["Okay, so", "Okay, so"]', "duplicate"),
        ('["Okay, so we", "we need"]', "overlap"),
    ],
)
def test_recorded_answers(answer: str, outcome: str) -> None:
    assert marked(answer)[0] == outcome


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_answer_crashes_and_only_accepted_ones_mark(answer: str, segment: str) -> None:
    reading = read_answer(answer, segment)
    assert reading.outcome in OUTCOMES
    assert not reading.spans or reading.outcome in ACCEPTED
    assert parse("[" + answer)[0] in OUTCOMES


@given(st.lists(st.tuples(st.booleans(), st.from_regex(r"[a-c]{1,2}[.,]?", fullmatch=True)), max_size=12))
def test_verbatim_spans_in_order_are_always_found(drawn: list[tuple[bool, str]]) -> None:
    text = " ".join(word for _, word in drawn)
    failure, spans = locate([word for is_style, word in drawn if is_style], text)
    assert failure is None
    assert [text[start:end] for start, end in spans] == [word for is_style, word in drawn if is_style]
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))


@given(st.text(min_size=1, max_size=40))
def test_a_whole_segment_is_found_whole(text: str) -> None:
    if re.sub(r"[\s\u00ad\u200b-\u200d\u2060\ufeff]", "", text):
        assert locate([text], text)[0] is None
