"""Which rows are problems of a benchmark: rules from equal text to the same problem in other clothes.

Not covered: translations, and a retelling that shares no run of words with the test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from tessy.config.curation import Decontamination

RULES = ("contained", "ngram_13", "ngram_8", "edit", "masked")
"""From the most certain to the least; a row is counted under its first."""


@dataclass(frozen=True, slots=True)
class Test:
    """A problem of a benchmark, its statement as the benchmark's loader gives it."""

    benchmark: str
    test_id: str
    statement: str


@dataclass(frozen=True, slots=True)
class Match:
    """A row that is one of a benchmark's tests, by `rule`. `score` is the rule's, in [0, 1]: a share of
    shingles or an edit similarity."""

    rule: str
    score: float
    test: Test


class BenchmarkIndex:
    """The tests of all benchmarks, made for looking rows up. Can be pickled; a few KB for each test."""

    def __init__(self, tests: Iterable[Test], settings: Decontamination) -> None:
        raise NotImplementedError

    def matches(self, prompt: str) -> list[Match]:
        """Every test that `prompt` is, each under its first rule, by rule and then by falling score."""
        raise NotImplementedError


def in_window(dated: date | None, settings: Decontamination) -> bool:
    """Whether a row of that date may stay."""
    return dated is None or settings.before is None or dated < settings.before
