"""Precision and recall of the rules on planted duplicates and leaks, over thresholds.

Each statement is taken to differ from each other one, so a pair of statements that a rule joins is a false
alarm unless the statements themselves repeat; the pairs are listed for looking at. Each is edited once in
every way (`tessy.bench.curation.edits`), and what a rule does not join with its original is missed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tessy.bench.curation.edits import EDITS
from tessy.config.curation import Decontamination, Duplicates
from tessy.curation_rules.chunks import Sketches, joined, sketch
from tessy.curation_rules.decontamination import RULES, BenchmarkIndex, Statement
from tessy.curation_rules.duplicates import clusters
from tessy.curation_rules.signatures import boilerplate
from tessy.curation_rules.text import Hashes
from tessy.curation_rules.vectors import Half, said

Scores = NDArray[np.float64]
Say = Callable[[str], None]


def planted(texts: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """Every text edited in every way."""
    return {
        name: [edit(text, random.Random(f"{seed} {name} {number}")) for number, text in enumerate(texts)]
        for name, edit in EDITS.items()
    }


# Duplicates ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Curve:
    """`recall` is the share of pairs found at each of `thresholds`, by kind of edit; `alarms` the number of
    pairs of different texts that are joined, of `pairs`; `nearest` the most similar ones and their
    similarity."""

    thresholds: Sequence[float]
    recall: Mapping[str, Scores]
    alarms: NDArray[np.int64]
    pairs: int
    nearest: Sequence[tuple[float, int, int]]


def duplicates(texts: Sequence[str], settings: Duplicates, thresholds: Sequence[float]) -> Curve:
    """What thresholds of the estimated similarity find, of edited texts and of pairs of different ones."""
    common = boilerplate(texts, settings)
    originals = sketch(texts, settings, common)
    recall = {
        name: _at_least(_similarity(originals, sketch(edited, settings, common)), thresholds)
        for name, edited in planted(texts).items()
    }
    alarms = np.zeros(len(thresholds), np.int64)
    nearest: list[tuple[float, int, int]] = []
    for row in range(len(texts) - 1):
        rest = slice(row + 1, None)
        score = (originals.signatures[rest] == originals.signatures[row]).mean(axis=1)
        score[(originals.digests[rest] == originals.digests[row]).all(axis=1)] = 1.0
        alarms += [(score >= one - 1e-6).sum() for one in thresholds]
        nearest += [(float(score[i]), row, int(row + 1 + i)) for i in np.flatnonzero(score >= thresholds[0])]
    return Curve(
        thresholds, recall, alarms, len(texts) * (len(texts) - 1) // 2, sorted(nearest, reverse=True)
    )


def _similarity(one: Sketches, other: Sketches) -> Scores:
    same = (one.digests == other.digests).all(axis=1)
    return np.where(same, 1.0, (one.signatures == other.signatures).mean(axis=1))


def _at_least(scores: Scores, thresholds: Sequence[float]) -> Scores:
    return np.array([(scores >= one - 1e-6).mean() for one in thresholds])


def clustered(texts: Sequence[str], settings: Duplicates) -> dict[str, float]:
    """Through the whole of `clusters`, with every text and all its edits in one pool: by kind of edit the
    share that is in its original's cluster, and as `precision` the share of joined pairs that are of one
    original."""
    sets = {"original": list(texts), **planted(texts)}
    # What stands between instructions is a source of its own: as a stage does, each source is sampled apart.
    apart = sets.pop("between instructions")
    common = np.union1d(
        boilerplate([text for one in sets.values() for text in one], settings), boilerplate(apart, settings)
    )
    sets["between instructions"] = apart
    sketches = joined([sketch(one, settings, common) for one in sets.values()])
    labels = clusters(sketches, settings).reshape(len(sets), len(texts))
    found = {name: float((labels[0] == row).mean()) for name, row in zip(sets, labels, strict=True)}
    truth = np.broadcast_to(np.arange(len(texts)), labels.shape)
    joined_pairs = _pairs(labels.ravel())
    both = _pairs(labels.ravel() * len(texts) + truth.ravel())
    return {**found, "precision": both / joined_pairs}


def _pairs(labels: NDArray[np.int64]) -> int:
    _, sizes = np.unique(labels, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())


# Vectors ------------------------------------------------------------------------------------------


class Reads(Protocol):
    """A model that makes vectors (`tessy.curate.embedding.Embedder`)."""

    def of(self, texts: Sequence[str]) -> Half: ...


def embedded(texts: Sequence[str], model: Reads, settings: Duplicates, thresholds: Sequence[float]) -> Curve:
    """What thresholds of the cosine find, as `duplicates` says it of MinHash."""
    sets = {"original": list(texts), **planted(texts)}
    apart = sets.pop("between instructions")
    common = boilerplate([text for one in sets.values() for text in one], settings)
    framed = boilerplate(apart, settings)
    values = {name: _read(model, some, common, settings) for name, some in sets.items()}
    originals = values.pop("original")
    values["between instructions"] = _read(model, apart, np.union1d(common, framed), settings)
    recall = {
        name: _at_least((originals * found).sum(axis=1, dtype=np.float64), thresholds)
        for name, found in values.items()
    }
    cosines = originals @ originals.T
    here, there = np.triu_indices(len(texts), 1)
    scores = cosines[here, there]
    near = [n for n in np.argsort(-scores)[:1000].tolist() if scores[n] >= thresholds[0]]
    return Curve(
        thresholds,
        recall,
        np.array([(scores >= one - 1e-6).sum() for one in thresholds], np.int64),
        len(scores),
        [(float(scores[n]), int(here[n]), int(there[n])) for n in near],
    )


def cosines_of_pairs(
    pairs: Sequence[tuple[str, str]], sample: Sequence[str], model: Reads, settings: Duplicates
) -> Scores:
    """The cosine of each pair; `sample` tells what is boilerplate."""
    common = boilerplate(sample, settings)
    one, other = (_read(model, [pair[side] for pair in pairs], common, settings) for side in (0, 1))
    scores: Scores = (one * other).sum(axis=1, dtype=np.float64)
    return scores


def _read(model: Reads, texts: Sequence[str], common: Hashes, settings: Duplicates) -> NDArray[np.float32]:
    return model.of([said(text, common, settings) for text in texts]).astype(np.float32)


# Leaks --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaks:
    """Best scores, by rule: `found` of each leak with its own statement, by kind of edit, shape
    (statements,); `others` of rows that are no leak with any statement, shape (rows,). `first` counts the
    leaks by the rule that `matches` lists them under at the given settings, by kind of edit; `alarms` are its
    matches of other rows, as (rule, score, row, statement)."""

    found: Mapping[str, Mapping[str, Scores]]
    others: Mapping[str, Scores]
    first: Mapping[str, Mapping[str, int]]
    alarms: Sequence[tuple[str, float, str, str]]


def leaks(statements: Mapping[str, Sequence[str]], others: Sequence[str], settings: Decontamination) -> Leaks:
    """Of each benchmark's `statements`, edited, and of rows that are no leak."""
    listed = [
        Statement(benchmark, str(number), text)
        for benchmark, texts in statements.items()
        for number, text in enumerate(texts)
    ]
    index = BenchmarkIndex(listed, settings)
    found, first = {}, {}
    for name, edited in planted([one.text for one in listed]).items():
        scores = {rule: np.zeros(len(listed)) for rule in RULES}
        counts = dict.fromkeys((*RULES, "missed"), 0)
        for number, prompt in enumerate(edited):
            for rule, score in index.scores(prompt).get(number, {}).items():
                scores[rule][number] = score
            rules = [one.rule for one in index.matches(prompt) if one.statement is listed[number]]
            counts[rules[0] if rules else "missed"] += 1
        found[name], first[name] = scores, counts
    best = {rule: np.zeros(len(others)) for rule in RULES}
    alarms = []
    for row, prompt in enumerate(others):
        for scores_of_one in index.scores(prompt).values():
            for rule, score in scores_of_one.items():
                best[rule][row] = max(best[rule][row], score)
        alarms += [(one.rule, one.score, prompt, one.statement.text) for one in index.matches(prompt)]
    return Leaks(found, best, first, alarms)


def alarms_of_pairs(
    pairs: Sequence[tuple[str, str]], sample: Sequence[str], near: Duplicates, leaks_by: Decontamination
) -> tuple[Scores, list[tuple[str, float, str, str]]]:
    """Of pairs of different statements: the estimated similarity of each, shape (pairs,), and the matches of
    the first one with an index of the second ones, as (rule, score, first, second). `sample` tells what is
    boilerplate of duplicates."""
    common = boilerplate(sample, near)
    one, other = (sketch([pair[side] for pair in pairs], near, common) for side in (0, 1))
    index = BenchmarkIndex([Statement("second", str(n), pair[1]) for n, pair in enumerate(pairs)], leaks_by)
    found = [
        (match.rule, match.score, first, second)
        for number, (first, second) in enumerate(pairs)
        for match in index.matches(first)
        if match.statement.test_id == str(number)
    ]
    return _similarity(one, other), found
