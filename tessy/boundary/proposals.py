"""Proposes phrases for a lexicon from data: those that occur far more often at the start of sentences.

Discourse phrases stand at the beginning of sentences. Each n-gram of words is scored by its log-odds of
standing there rather than elsewhere, with a Dirichlet prior from the corpus itself, divided by its standard
error (Monroe, Colaresi and Quinn 2008, "Fightin' Words"). A person has to review the list: "Return" opens
sentences, too.

Pure. Not covered: phrases that only ever occur in the middle of a sentence.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 4
"""Words of the longest phrase proposed."""
PRIOR_WORDS = 500.0
"""How many words of prior belief the corpus as a whole is worth."""
PART_OF_LONGER = 0.8
"""A phrase is left out if one a word longer makes up this share of it."""

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A phrase, its z-score, and how often it occurs at the start of a sentence and in total."""

    phrase: str
    z: float
    at_start: int
    in_all: int


@dataclass(frozen=True, slots=True)
class _Corpus:
    """How often each n-gram of words opens a sentence and how often it occurs, and sums by n."""

    starts: Counter[Words]
    everywhere: Counter[Words]
    starts_by_length: Counter[int]
    everywhere_by_length: Counter[int]


def propose(texts: Iterable[str], limit: int, minimum: int) -> list[Proposal]:
    """The `limit` highest-scoring phrases that open a sentence at least `minimum` times, best first."""
    corpus = _count(texts)
    longer: Counter[Words] = Counter()
    for words, count in corpus.starts.items():
        longer[words[:-1]] = max(longer[words[:-1]], count)
    found: dict[str, Proposal] = {}
    for words, count in corpus.starts.items():
        if count < minimum or longer[words] >= PART_OF_LONGER * count:
            continue
        z, phrase = _z(words, corpus), re.sub(r"\W+$", "", " ".join(words))
        if z > 0 and phrase and z > (found[phrase].z if phrase in found else 0):
            found[phrase] = Proposal(phrase, z, count, corpus.everywhere[words])
    return sorted(found.values(), key=lambda one: (-one.z, one.phrase))[:limit]


def _count(texts: Iterable[str]) -> _Corpus:
    starts: Counter[Words] = Counter()
    everywhere: Counter[Words] = Counter()
    for text in texts:
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", text):
            words = sentence.split()
            for at in range(len(words)):
                for length in range(1, min(LONGEST, len(words) - at) + 1):
                    run = tuple(words[at : at + length])
                    everywhere[run] += 1
                    starts[run] += at == 0
    sums = (Counter[int](), Counter[int]())
    for out, counts in zip(sums, (starts, everywhere), strict=True):
        for run, count in counts.items():
            out[len(run)] += count
    return _Corpus(+starts, everywhere, *sums)


def _z(words: Words, corpus: _Corpus) -> float:
    at_start, total_at_start = corpus.starts[words], corpus.starts_by_length[len(words)]
    in_all, total = corpus.everywhere[words], corpus.everywhere_by_length[len(words)]
    prior = PRIOR_WORDS * in_all / total

    def log_odds(count: int, of: int) -> float:
        return math.log((count + prior) / max(of + PRIOR_WORDS - count - prior, 1e-9))

    gap = log_odds(at_start, total_at_start) - log_odds(in_all - at_start, total - total_at_start)
    return gap / math.sqrt(1 / (at_start + prior) + 1 / (in_all - at_start + prior))
