"""Each rule of cleaning finds what it is for, and lets real statements pass."""

from __future__ import annotations

import pytest
from hypothesis import given

from tessy.bench.curation.texts import humaneval, invented
from tessy.config.curation import Cleaning
from tessy.curation_rules.characters import repair
from tessy.curation_rules.cleaning import EVIDENCE, RULES, clean
from tests.hostile_text import hostile_text

SOUND = (
    "You are given an array $a$ of $n$ integers ($1 \\le n \\le 10^5$). Find the pairs (i, j) with i < j.\n\n"
    "## Input\n\nThe first line contains $n$.\n\n## Output\n\nPrint the answer.\n\n### Sample Input 1\n\n"
    "3\n1 2 3\n\n### Sample Output 1\n\n3\n\n### Note\n\nThe picture below shows the first test."
)

BROKEN = {
    "too_short": ["Add two numbers.", "", "\U0001f600" * 100, "求和"],
    "lost_characters": [SOUND.replace("array", "arr\ufffdy")],
    "language": [
        "Дан массив из n целых чисел. Найдите количество пар равных элементов в этом массиве.",
        "给定一个长度为 n 的整数数组，求相等元素对的数量，并输出答案对质数取模的结果。",
    ],
    "lost_formula": [
        "The first line has one integer (1 ≤  ≤ 100), the number of cities of the country.",
        "The first line has one integer $n$ (1 \\le n \\le ), the number of cities of the country.",
        "There is an array of  integers and a number . Find the sum of  and print it with the others.",
        "You are given $$$$$$ integers. Let $ $ be their sum. Is it odd, and if so, what is its half?",
        "You are given an integer \\( \\) and have to find the sum of all of its divisors that are odd.",
    ],
    "lost_image": [
        "In the figure below, find the length of the side that is opposite to the angle at the point A.",
        "What is the area of the shaded region? ![image](https://example.org/a.png) Give it as a fraction.",
        "What is the area of the shaded region? [asy]draw((0,0)--(1,1));[/asy] Give it as a fraction.",
        "Count the triangles in the following diagram and write their number on the last line of it.",
    ],
    "code_only": [
        "```python\ndef solve(n):\n    total = 0\n    for i in range(n):\n        total += i\n\n```\n",
        "#include <bits/stdc++.h>\nint main() {\n    int number;\n    cin >> number;\n}\n",
    ],
    "contains_answer": [
        "What is the sum of the first ten natural numbers that are odd? Answer: 100",
        "What is the sum of the first ten natural numbers that are odd? It is \\boxed{100}.",
        "Find the shortest path.\n\n## Solution\n\nRun Dijkstra's algorithm from the first vertex.",
        "What is the sum of the first ten odd numbers?\n<think>\nIt is a square.\n</think>\n100",
        "Human: how many are there of them in the second box?\nAssistant: There are exactly 12 of them.",
    ],
    "empty_example": [SOUND.replace("3\n1 2 3\n", "\n"), SOUND.partition("### Note")[0].rstrip()[:-1]],
    "duplicate_example": [SOUND + "\n\n### Sample Input 2\n\n3\n1 2 3\n\n### Sample Output 2\n\n3\n"],
}


@pytest.mark.parametrize(("rule", "prompt"), [(rule, one) for rule, them in BROKEN.items() for one in them])
def test_each_rule_finds_what_it_is_for(rule: str, prompt: str) -> None:
    found = {one.rule: one for one in clean(prompt, {}, Cleaning())}
    assert rule in found
    assert found[rule].removes == (getattr(Cleaning(), rule) == "remove")
    kept = {one.rule: one.removes for one in clean(prompt, {}, Cleaning.model_validate({rule: "note"}))}
    assert kept[rule] is False


@pytest.mark.parametrize(
    "prompt",
    [
        SOUND,
        "Solve for real x and put your final answer within \\boxed{}: x^2 + 3x + 2 = 0, where x is negative.",
        "Write a function. ### Answer: (use the provided format with backticks)\nIt returns a value.",
        "You are asked to fill in the class.\n\n```python\nclass Solution:\n    def f(self, n):\n```\n",
        "How many $5 bills are there in $100, and how much is left when a bag of apples costs $7 instead?",
        "Let $a$ $b$ be digits with 0 <= a, b <= 9. Find all $\\overline{ab}$, and their sum (in base 10).",
    ],
)
def test_sound_prompts_pass(prompt: str) -> None:
    assert clean(prompt, {}, Cleaning()) == []


def test_real_and_invented_statements_pass() -> None:
    found = [one for prompt in (*humaneval(), *invented(60)) for one in clean(prompt, {}, Cleaning())]
    assert [one for one in found if one.removes] == []


def test_length_in_tokens_is_of_each_role() -> None:
    settings = Cleaning(max_tokens={"student": 10, "teacher": 20})
    assert clean(SOUND, {"student": 10, "teacher": 20}, settings) == []
    [found] = clean(SOUND, {"student": 11, "teacher": 5}, settings)
    assert found.rule == "too_long"
    assert found.evidence == "11 tokens of the student, and max_tokens is 10"


@given(hostile_text)
def test_any_text_can_be_cleaned(text: str) -> None:
    prompt, _ = repair(text)
    found = clean(prompt, {}, Cleaning())
    assert [one.rule for one in found] == sorted((one.rule for one in found), key=RULES.index)
    for one in found:
        assert len(one.evidence) <= EVIDENCE
        one.evidence.encode()


@pytest.mark.parametrize(
    "piece",
    ["<!--", "<p ", "\\begin ", "$ ", "[", "](", "a ", "1,000", "<= ", ", ", "é\u0301", "ð", "#", "'''\n"],
)
def test_a_row_of_megabytes_takes_no_longer_than_its_length(piece: str) -> None:
    prompt, _ = repair(piece * (200_000 // len(piece)))
    assert "too_long" in {one.rule for one in clean(prompt, {}, Cleaning())}
