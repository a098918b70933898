"""Leaks of benchmark statements are found in other clothes, and different problems are not accused."""

from __future__ import annotations

import pickle
import random
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.bench.curation.edits import EDITS
from tessy.bench.curation.problems import TOPICS, Problems
from tessy.bench.curation.texts import humaneval, invented
from tessy.config.curation import Decontamination
from tessy.curation_rules.decontamination import RULES, BenchmarkIndex, Statement, in_window
from tests.hostile_text import hostile_text

SETTINGS = Decontamination()
TESTS = [
    *(Statement("HumanEval", str(number), text) for number, text in enumerate(humaneval()[:40])),
    *(Statement("contest", str(number), text) for number, text in enumerate(invented(40, seed=11))),
]
INDEX = BenchmarkIndex(TESTS, SETTINGS)


def test_recall_of_planted_leaks() -> None:
    """The floor of what the README's table says, on few texts."""
    draw, missed = random.Random(2), {}
    for name, edit in EDITS.items():
        found = [any(m.statement is one for m in INDEX.matches(edit(one.text, draw))) for one in TESTS]
        missed[name] = 1 - sum(found) / len(found)
    assert {name for name, share in missed.items() if share > 0.02} <= {"edited by 20 %", "numbers changed"}
    assert max(missed.values()) <= 0.2


def test_no_false_alarm_on_different_problems() -> None:
    rows = [*humaneval()[100:], *invented(100, seed=12)]
    alarms = [(row, one) for row in rows for one in INDEX.matches(row)]
    assert alarms == []


@pytest.mark.parametrize("topic", TOPICS)
def test_no_false_alarm_on_different_problems_of_one_topic(topic: str) -> None:
    problems, tasks = Problems(13, characters=900), range(len(TOPICS[topic][1]))
    index = BenchmarkIndex([Statement("even", str(n), problems.one(topic, n)) for n in tasks[::2]], SETTINGS)
    assert [
        match for n in tasks[1::2] for _ in range(3) for match in index.matches(problems.one(topic, n))
    ] == []


@given(hostile_text)
@settings(max_examples=50)
def test_any_row_can_be_looked_up(text: str) -> None:
    for match in INDEX.matches(text):
        assert 0 < match.score <= 1
    assert INDEX.matches(text + "\n" + TESTS[3].text + "\n" + text)[0].statement is TESTS[3]


def test_hostile_statements_make_an_index() -> None:
    texts = ["", "\ud800", "\U0001f600", "求和" * 50, "a " * 50_000, TESTS[0].text, TESTS[0].text]
    index = BenchmarkIndex([Statement("odd", str(n), text) for n, text in enumerate(texts)], SETTINGS)
    assert {one.test_id for one in index.blind} >= {"0", "1", "2"}
    assert [one.statement.test_id for one in index.matches(TESTS[0].text)] == ["5", "6"]
    assert index.matches("") == index.matches("\U0001f600") == []
    assert [one.statement.test_id for one in index.matches("求和" * 50)] == ["3"]


def test_boilerplate_is_no_evidence_and_what_is_left_blind_is_named() -> None:
    frame = (
        "Read the problem below and write a program that solves it within the limits. Use standard input. "
    )
    bodies = ["Sum two numbers.", "Count the primes.", "Sort the words.", invented(1, seed=20)[0]]
    index = BenchmarkIndex([Statement("framed", str(n), frame + b) for n, b in enumerate(bodies)], SETTINGS)
    assert (
        index.matches(frame + "Find the longest path in a tree that has at most a thousand vertices.") == []
    )
    assert [one.test_id for one in index.blind] == ["0", "1", "2"]
    assert [one.statement.test_id for one in index.matches(frame + bodies[0])] == ["0"]


def test_the_same_statement_in_several_benchmarks_is_no_boilerplate() -> None:
    text = invented(1, seed=21)[0]
    index = BenchmarkIndex([Statement(f"benchmark {n}", "1", text) for n in range(5)], SETTINGS)
    assert index.blind == ()
    assert len(index.matches(EDITS["edited by 5 %"](text, random.Random(0)))) == 5


def test_each_rule_can_be_off() -> None:
    leak = TESTS[60].text
    off = dict.fromkeys(("ngram_13", "ngram_8", "edit", "masked"))
    for rule in RULES:
        only = {**off, "contained": False, rule: True if rule == "contained" else getattr(SETTINGS, rule)}
        index = BenchmarkIndex(TESTS, Decontamination.model_validate(only))
        assert [(one.rule, one.statement) for one in index.matches(leak)] == [(rule, TESTS[60])]
    index = BenchmarkIndex(TESTS, Decontamination.model_validate({**off, "contained": False}))
    assert index.matches(leak) == []


def test_an_index_can_be_sent_to_another_process() -> None:
    there = pickle.loads(pickle.dumps(INDEX))
    assert there.matches(TESTS[5].text) == INDEX.matches(TESTS[5].text)


@pytest.mark.parametrize("day", [None, date(2024, 7, 31), date(2024, 8, 1)])
@given(limit=st.none() | st.just(date(2024, 8, 1)))
@settings(max_examples=5)
def test_a_date_window_keeps_what_is_older_and_what_has_no_date(day: date | None, limit: date | None) -> None:
    assert in_window(day, Decontamination(before=limit)) == (day is None or limit is None or day < limit)
