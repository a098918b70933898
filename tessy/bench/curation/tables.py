"""The tables of tessy/curation_rules/README.md, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessy.bench.curation.quality import (
    Reads,
    alarms_of_pairs,
    clustered,
    cosines_of_pairs,
    duplicates,
    embedded,
    leaks,
)
from tessy.bench.curation.texts import (
    humaneval,
    invented,
    invented_pairs_of_a_topic,
    pairs_of_a_topic,
    read,
)
from tessy.config.curation import Decontamination, Duplicates
from tessy.curation_rules.decontamination import RULES

SHINGLES = (2, 3, 5)
PAIRS = 1000
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COSINES = (0.8, 0.85, 0.9, 0.925, 0.95, 0.975)
_SHOWN = 160
"""Characters of a text beside an alarm."""


def report(paths: list[Path], every: int, near: int) -> Iterator[str]:
    """Lines of all tables, for one in `every` statements of the files and HumanEval."""
    texts = [*read(paths), *humaneval()][::every]
    yield f"{len(texts)} statements, median {np.median([len(one.split()) for one in texts]):.0f} words"
    yield from _duplicates(texts, near)
    yield from _leaks(texts, near)
    yield from _topics("invented", invented_pairs_of_a_topic(PAIRS), invented(500), near)
    if real := pairs_of_a_topic(paths, PAIRS):
        yield from _topics("real", real, texts, near)


def report_of_vectors(
    paths: list[Path], every: int, near: int, model: Reads, count: int = PAIRS
) -> Iterator[str]:
    """Lines of the tables of near-duplicates by vectors, with so many pairs of one topic."""
    texts, settings = [*read(paths), *humaneval()][::every], Duplicates()
    yield f"{len(texts)} statements, median {np.median([len(one.split()) for one in texts]):.0f} words"
    curve = embedded(texts, model, settings, COSINES)
    yield "\n### Duplicates: vectors, percent found at each cosine\n"
    rows = {name: [f"{100 * one:.1f}" for one in found] for name, found in curve.recall.items()}
    alarms = {f"pairs of different ones, of {curve.pairs}": [str(one) for one in curve.alarms]}
    for name, pairs, sample in (
        ("invented", invented_pairs_of_a_topic(count), invented(500)),
        ("real", pairs_of_a_topic(paths, count), texts),
    ):
        if pairs:
            found = cosines_of_pairs(pairs, sample, model, settings)
            counts = [str((found >= one).sum()) for one in COSINES]
            alarms[f"{name} pairs of one topic, of {len(pairs)}; the nearest {found.max():.2f}"] = counts
    yield from _table([f"{one:g}" for one in COSINES], {**rows, **alarms})
    yield "\nThe nearest statements:\n"
    for cosine, one, other in curve.nearest[:near]:
        yield f"- {cosine:.2f} | {_short(texts[one])} | {_short(texts[other])}"


def _duplicates(texts: Sequence[str], near: int) -> Iterator[str]:
    chosen = Duplicates()
    for words in SHINGLES:
        settings = Duplicates(ngram_words=words)
        curve = duplicates(texts, settings, THRESHOLDS)
        yield f"\n### Duplicates: shingles of {words} words, percent found at each threshold\n"
        rows = {name: [f"{100 * one:.1f}" for one in found] for name, found in curve.recall.items()}
        alarms = [str(one) for one in curve.alarms]
        head = [f"{one:g}" for one in THRESHOLDS]
        yield from _table(head, {**rows, f"pairs of different ones, of {curve.pairs}": alarms})
        if words == chosen.ngram_words:
            yield f"\nThe most similar statements ({words} words):\n"
            for similarity, one, other in curve.nearest[:near]:
                yield f"- {similarity:.2f} | {_short(texts[one])} | {_short(texts[other])}"
    yield f"\n### Duplicates: the defaults, all edits of all statements in one pool\n\n{chosen}\n"
    yield from _table(["percent"], {k: [f"{100 * v:.2f}"] for k, v in clustered(texts, chosen).items()})


def _leaks(texts: Sequence[str], near: int) -> Iterator[str]:
    settings = Decontamination()
    tests, others = texts[::2], [*texts[1::2], *invented(1000)]
    result = leaks({"even": tests}, others, settings)
    for rule in RULES[1:]:
        yield f"\n### Leaks: `{rule}`, percent found at each threshold\n"
        rows = {name: _over(scores[rule]) for name, scores in result.found.items()}
        alarms = [str((result.others[rule] >= one).sum()) for one in THRESHOLDS]
        yield from _table(
            [f"{one:g}" for one in THRESHOLDS], {**rows, f"other rows, of {len(others)}": alarms}
        )
    yield f"\n### Leaks: the defaults, by the rule that finds them first\n\n{settings}\n"
    yield from _table(
        [*RULES, "missed", "found, percent"],
        {name: _counts(counts, len(tests)) for name, counts in result.first.items()},
    )
    yield f"\nMatches of the {len(others)} other rows: {len(result.alarms)}\n"
    for rule, score, row, statement in sorted(result.alarms, key=lambda one: -one[1])[:near]:
        yield f"- {rule} {score:.2f} | {_short(row)} | {_short(statement)}"


def _topics(name: str, pairs: Sequence[tuple[str, str]], sample: Sequence[str], near: int) -> Iterator[str]:
    similarity, alarms = alarms_of_pairs(pairs, sample, Duplicates(), Decontamination())
    yield f"\n### {len(pairs)} pairs of different {name} statements of one topic\n"
    yield f"similarity: median {np.median(similarity):.2f}, largest {similarity.max():.2f}"
    for threshold in THRESHOLDS:
        yield f"- near-duplicates at {threshold:g}: {(similarity >= threshold).sum()}"
    yield f"- matches of decontamination: {len(alarms)}"
    found = [("similarity", float(similarity[n]), *pairs[n]) for n in np.argsort(-similarity)[:near]]
    for rule, score, one, other in [*found, *alarms[:near]]:
        yield f"- {rule} {score:.2f} | {_short(one)} | {_short(other)}"


def _over(scores: NDArray[np.float64]) -> list[str]:
    return [f"{100 * (scores >= one).mean():.1f}" for one in THRESHOLDS]


def _counts(counts: Mapping[str, int], whole: int) -> list[str]:
    found = 100 * (1 - counts["missed"] / whole)
    return [*(str(counts[name]) for name in (*RULES, "missed")), f"{found:.1f}"]


def _table(head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield f"| | {' | '.join(head)} |"
    yield f"|---|{'---|' * len(head)}"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells)} |"


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN].replace("|", "/")
