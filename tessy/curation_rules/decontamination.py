"""Which rows are problems of a benchmark: rules from equal text to the same problem in other clothes.

A statement's *own* shingles are those that fewer than `common` statements of its benchmark have: what is left
without "the first line contains an integer n". Only they are evidence.

Not covered: translations, and a retelling that shares no run of words with the statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from tessy.config.curation import Decontamination
from tessy.curation_rules.lookup import Lookup
from tessy.curation_rules.text import Hashes, digest, masked, normalise, runs, shingles

RULES = ("contained", "ngram_13", "ngram_8", "edit", "masked")
"""From the most certain to the least; a match is listed under its first."""
CANDIDATE_WORDS = 5
"""Words of the shingles by which statements become candidates for the rules on plain text."""
CANDIDATE_SHARE = 0.1
"""Least share of a statement's own shingles of that length that a candidate's row has; at least 2."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A problem of a benchmark, its text as the benchmark's loader gives it."""

    benchmark: str
    test_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """A row that is one of a benchmark's problems, by `rule`. `score` is the rule's, in [0, 1]: a share of
    shingles or an edit similarity."""

    rule: str
    score: float
    statement: Statement


class BenchmarkIndex:
    """The statements of all benchmarks, made for looking rows up: about 25 KB for one of 300 words.

    `blind` are those of which only equal texts are found: shorter than `min_words`, or with too few shingles
    of their own.
    """

    def __init__(self, statements: Iterable[Statement], settings: Decontamination) -> None:
        self.settings = settings
        self.statements = tuple(statements)
        self._texts = [normalise(one.text) for one in self.statements]
        self._equal: dict[bytes, list[int]] = {}
        for number, text in enumerate(self._texts):
            if text:
                self._equal.setdefault(digest(text), []).append(number)
        groups = [one.benchmark for one in self.statements]
        long = [text if text.count(" ") + 1 >= settings.min_words else "" for text in self._texts]
        self._plain = {n: Lookup(long, groups, n, settings.common) for n in (CANDIDATE_WORDS, 8, 13)}
        hidden = [text if text.count(" ") + 1 >= settings.min_words else "" for text in map(masked, long)]
        self._masked = Lookup(hidden, groups, 8, settings.common)
        self.blind = tuple(
            one
            for number, one in enumerate(self.statements)
            if len(self._plain[8].own[number]) < self._evidence(8)
        )

    def matches(self, prompt: str) -> list[Match]:
        """Every statement that `prompt` is, each under its first rule, by rule and then by falling score."""
        found = []
        for number, scores in self.scores(prompt).items():
            least = {"contained": 1.0 if self.settings.contained else None, **self._thresholds}
            for rule in RULES:
                limit = least[rule]
                if limit is not None and scores.get(rule, 0.0) >= max(limit, 1e-9):
                    found.append(Match(rule, scores[rule], self.statements[number]))
                    break
        return sorted(found, key=lambda one: (RULES.index(one.rule), -one.score))

    def scores(self, prompt: str) -> dict[int, dict[str, float]]:
        """By number of the statement, every rule's score of those that share enough with `prompt`.

        A score is 0 where less than `min_words` words of a statement's own are there.
        """
        row = _Row(normalise(prompt))
        found: dict[int, dict[str, float]] = {}
        for number in self._candidates(row):
            found[number] = {
                "contained": float(f" {self._texts[number]} " in f" {row.text} "),
                "ngram_13": self._share(self._plain[13], number, row.shingles(13)),
                "ngram_8": self._share(self._plain[8], number, row.shingles(8)),
                "edit": self._edit_similarity(row, number),
            }
        for number, count in self._masked.shared(shingles(masked(row.text), 8)):
            if count >= self._evidence(8):
                found.setdefault(number, {})["masked"] = count / len(self._masked.own[number])
        for number in self._equal.get(digest(row.text), ()):
            found.setdefault(number, {})["contained"] = 1.0
        return found

    @property
    def _thresholds(self) -> dict[str, float | None]:
        settings = self.settings
        return {
            "ngram_13": settings.ngram_13,
            "ngram_8": settings.ngram_8,
            "edit": settings.edit,
            "masked": settings.masked,
        }

    def _candidates(self, row: _Row) -> Iterator[int]:
        lookup = self._plain[CANDIDATE_WORDS]
        for number, count in lookup.shared(row.shingles(CANDIDATE_WORDS)):
            if count >= max(2, CANDIDATE_SHARE * len(lookup.own[number])):
                yield number

    def _share(self, lookup: Lookup, number: int, row: Hashes) -> float:
        """The share of a statement's own shingles that a row has."""
        own = lookup.own[number]
        shared = int(np.isin(own, row, assume_unique=True).sum())
        return shared / len(own) if shared >= self._evidence(lookup.words) else 0.0

    def _evidence(self, words: int) -> int:
        """Least number of shingles that make up `min_words` words."""
        return max(1, self.settings.min_words - words + 1)

    def _edit_similarity(self, row: _Row, number: int) -> float:
        """Of the statement's words and the row's; in a longer row of those where the statement would be."""
        from rapidfuzz.distance import Indel

        words, other = self._texts[number].split(), row.text.split()
        if len(other) > 1.5 * len(words):
            here = runs(self._texts[number], CANDIDATE_WORDS)
            there = runs(row.text, CANDIDATE_WORDS)
            _, at, among = np.intersect1d(here, there, return_indices=True)
            start, margin = int(np.median(among - at)), len(words) // 10
            other = other[max(0, start - margin) : max(0, start + len(words) + margin)]
        return float(Indel.normalized_similarity(words, other))


class _Row:
    """A normalised text with its shingles, hashed when a rule asks for them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._shingles: dict[int, Hashes] = {}

    def shingles(self, words: int) -> Hashes:
        if words not in self._shingles:
            self._shingles[words] = shingles(self.text, words)
        return self._shingles[words]


def in_window(dated: date | None, settings: Decontamination) -> bool:
    """Whether a row of that date may stay."""
    return dated is None or settings.before is None or dated < settings.before
