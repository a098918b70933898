"""How decisions are made again: every group can ask, and what DMOJ prints is read as it is meant."""

from __future__ import annotations

import pytest

from tests.judge.official import ask_dmoj, regenerate, runners

NOT_ASKED = {"surrogate/dmoj", "surrogate/lcb", "surrogate/lightcp"}


def test_every_group_but_those_that_the_readme_names_can_be_decided_again() -> None:
    names = {str(group.relative_to(runners.HERE)) for group in runners.groups()}
    assert names - set(regenerate.ASKING) == NOT_ASKED


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (["AC", "AC"], "pass"),
        (["AC", "WA", "IR"], "WA"),
        (["AC", "IR", "WA"], "RTE"),
        (["TLE", "SC", "--"], "TLE"),
        (["AC", "IE"], "IE"),
        (["CE"], "CE"),
    ],
)
def test_the_first_test_that_fails_names_the_verdict(said: list[str], verdict: str) -> None:
    assert ask_dmoj.verdict(said) == verdict


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Test case  1 AC [0.051s (0.062s wall) | 68420kb | 570 switches (8 involuntary)]\n"
            "Test case  2 IR [0.060s (0.070s wall) | 70184kb | 5 switches] (MemoryError) {WA}\n",
            ["AC", "IR"],
        ),
        ("Batch #1\n  Test case  1 AC [0.1s]\n  Test case  2 --\nDone grading b/1.\n", ["AC", "--"]),
        ("Failed compiling submission!\n./p.cpp:1:1: error\n", ["CE"]),
        ("Test case  1 AC [0.1s]\nTraceback (most recent call last):\n", ["AC", "IE"]),
    ],
)
def test_what_dmoj_s_command_line_prints_is_read(said: str, words: list[str]) -> None:
    assert ask_dmoj._words(said) == words


def test_tests_that_were_not_run_have_no_word() -> None:
    assert ask_dmoj.tests(["AC", "WA", "SC", "--"]) == ["AC", "WA"]


def test_only_fields_that_a_row_has_are_decided() -> None:
    row = {"name": "one", "official": "pass", "word": "AC"}
    assert regenerate.decided(row, {"official": "RTE", "word": "IR", "tests": ["IR"]}) == {
        "name": "one",
        "official": "RTE",
        "word": "IR",
    }
    assert regenerate.decided({"official": None}, "a program") == {"official": "a program"}
