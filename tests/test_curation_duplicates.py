"""Clusters, what stays of them, and the held-out split."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tessy.bench.curation.edits import EDITS
from tessy.bench.curation.texts import humaneval, invented
from tessy.config.curation import Duplicates, HeldOut, Rules
from tessy.curation_rules.chunks import Sample, Sketches, joined, sketch
from tessy.curation_rules.duplicates import clusters, keep, preference
from tessy.curation_rules.held_out import split
from tessy.curation_rules.signatures import boilerplate
from tests.hostile_text import hostile_text

SETTINGS = Duplicates()
Labels = NDArray[np.int64]


def partition(labels: Labels) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == one).tolist()) for one in set(labels.tolist())}


def taken(sketches: Sketches, rows: Labels) -> Sketches:
    return Sketches(sketches.digests[rows], sketches.signatures[rows], sketches.words[rows])


def some_rows() -> list[str]:
    """Statements with edits of some of them, and rows without words."""
    texts, draw = invented(30, seed=3), random.Random(0)
    edited = [edit(text, draw) for edit in EDITS.values() for text in texts[:6]]
    return [*texts, *edited, "", "", "\U0001f600", "!?", "n"]


ROWS = some_rows()
SKETCHES = sketch(ROWS, SETTINGS)
LABELS = clusters(SKETCHES, SETTINGS)


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_neither_clusters_nor_what_stays_nor_the_split_depend_on_the_order_of_rows(
    draw: random.Random, seed: int
) -> None:
    order = np.array(draw.sample(range(len(ROWS)), len(ROWS)))
    shuffled = taken(SKETCHES, order)
    labels = clusters(shuffled, SETTINGS)
    assert partition(labels) == partition(LABELS[order])
    kept = [
        {ROWS[rows[i]] for i in np.flatnonzero(keep(some, ranks, these, SETTINGS).mask)}
        for some, these, rows in ((labels, shuffled, order), (LABELS, SKETCHES, np.arange(len(ROWS))))
        for ranks in [preference("longest", these, np.zeros(len(these), np.int64))]
    ]
    assert kept[0] == kept[1]
    held = [
        {ROWS[i] for i in np.flatnonzero(split(LABELS, SKETCHES.digests, 0.2, seed))},
        {ROWS[i] for i in order[split(labels, shuffled.digests, 0.2, seed)]},
    ]
    assert held[0] == held[1]


@given(st.lists(st.sampled_from(ROWS) | hostile_text, min_size=1, max_size=12), st.integers(0, 9))
@settings(max_examples=30)
def test_a_split_takes_whole_clusters_of_any_rows(rows: list[str], seed: int) -> None:
    sketches = sketch(rows, SETTINGS)
    labels = clusters(sketches, SETTINGS)
    held = split(labels, sketches.digests, 0.3, seed)
    assert not set(labels[held].tolist()) & set(labels[~held].tolist())
    assert held.sum() <= round(0.3 * len(rows))
    kept = keep(labels, preference("source", sketches, np.zeros(len(rows), np.int64)), sketches, SETTINGS)
    assert kept.mask[kept.by].all()
    assert (labels[kept.by] == labels).all()
    assert (kept.similarity >= SETTINGS.threshold - 1e-6).all()
    # Equal rows are never both kept.
    assert len({rows[i] for i in np.flatnonzero(kept.mask)}) == kept.mask.sum()


def test_instructions_that_a_source_repeats_make_no_duplicates() -> None:
    frame = EDITS["between instructions"]
    short = [f"{text.partition('>>>')[0]}" for text in humaneval()] + invented(60, seed=8)
    rows = [frame(text, random.Random(0)) for text in short]
    sample = Sample(size=210)
    sample.add(rows[100:])
    sample.add(rows[:100])
    again = Sample(size=210)
    again.add(rows)
    assert sample.prompts == again.prompts
    common = boilerplate(sample.prompts, SETTINGS)
    without = clusters(sketch(rows, SETTINGS), SETTINGS)
    labels = clusters(sketch(rows, SETTINGS, common), SETTINGS)
    assert len(set(without.tolist())) < 0.7 * len(rows), "the instructions alone make duplicates"
    assert len(set(labels.tolist())) > 0.95 * len(rows)
    assert len(boilerplate(rows[:50], SETTINGS)) == len(boilerplate([], SETTINGS)) == 0


def test_chunks_may_be_sketched_apart() -> None:
    parts = [sketch(ROWS[first : first + 17], SETTINGS) for first in range(0, len(ROWS), 17)]
    together = joined(parts)
    for name in ("digests", "signatures", "words"):
        assert (getattr(together, name) == getattr(SKETCHES, name)).all()


def test_rows_without_words_are_only_equal_to_themselves() -> None:
    rows = ["", "", "\U0001f600", "!?", "!?"]
    labels = clusters(sketch(rows, SETTINGS), SETTINGS)
    assert labels.tolist() == [0, 0, 1, 2, 2]


def test_the_keep_rule_decides() -> None:
    [text] = invented(1, seed=9)
    rows = [text + " And one more word.", text, text + " And these are three words more.", f"  {text}\n"]
    sources = np.array([1, 0, 1, 0])
    sketches = sketch(rows, SETTINGS)
    labels = clusters(sketches, SETTINGS)
    assert labels.tolist() == [0, 0, 0, 0]
    stays = {
        rule: keep(labels, preference(rule, sketches, sources), sketches, SETTINGS).by.tolist()[0]
        for rule in ("source", "longest", "shortest", "first")
    }
    assert stays == {"source": 1, "longest": 2, "shortest": 1, "first": 0}


def test_a_chain_does_not_remove_a_row_that_is_unlike_what_stays() -> None:
    words = [f"w{number}" for number in range(90)]
    # Each shares half of its words with the next: the ends share none.
    rows = [" ".join(words[first : first + 45]) for first in (0, 12, 24, 36, 48)]
    loose = Duplicates(threshold=0.4)
    sketches = sketch(rows, loose)
    labels = clusters(sketches, loose)
    assert labels.tolist() == [0] * 5
    kept = keep(labels, preference("first", sketches, np.zeros(5, np.int64)), sketches, loose)
    assert kept.mask[0]
    assert 1 < kept.mask.sum() < 5


def test_without_near_duplicates_only_normalised_equality_counts() -> None:
    exact = Duplicates(near=False)
    rows = ["The **sum** of n numbers.", "the sum of N numbers", "the sum of n odd numbers"]
    sketches = sketch(rows, exact)
    assert sketches.signatures.shape == (3, 0)
    labels = clusters(sketches, exact)
    assert labels.tolist() == [0, 0, 1]
    assert keep(labels, np.arange(3), sketches, exact).by.tolist() == [0, 0, 2]
    with pytest.raises(ValueError, match=r"duplicates\.near"):
        Rules(duplicates=exact, held_out=HeldOut(share=0.1))


def test_more_rows_move_few_clusters_across_the_split() -> None:
    sketches = sketch(humaneval(), SETTINGS)
    labels = clusters(sketches, SETTINGS)
    some = np.arange(len(labels) - 4)
    before = split(labels[some], sketches.digests[some], 0.1, 0)
    after = split(labels, sketches.digests, 0.1, 0)[some]
    assert abs(int(before.sum()) - 16) <= 1
    assert (before != after).sum() <= 3


def test_recall_and_precision_on_planted_duplicates() -> None:
    """The floor of what the README's table says, on few texts."""
    texts = [*humaneval()[:45], *invented(15, seed=5)]
    draw = random.Random(1)
    pool = texts + [edit(text, draw) for edit in EDITS.values() for text in texts]
    frame = EDITS["between instructions"]
    common = boilerplate([frame(text, draw) for text in (*humaneval(), *invented(50))], SETTINGS)
    sketches = sketch(pool, SETTINGS, common)
    labels = clusters(sketches, SETTINGS).reshape(-1, len(texts))
    recall = {name: (row == labels[0]).mean() for name, row in zip(EDITS, labels[1:], strict=True)}
    joined_texts = [one for one in partition(labels[0]) if len(one) > 1]
    # `sort_third` and `sort_even`, `triples_sum_to_zero` and `pairs_sum_to_zero`: almost one text.
    assert {tuple(sorted(one)) for one in joined_texts} <= {(33, 37), (40, 43)}
    for name in ("exact", "white space and case", "LaTeX", "edited by 2 %", "edited by 5 %"):
        assert recall[name] >= 0.98, name
    for name in (
        "HTML",
        "headings translated",
        "edited by 10 %",
        "sentences reordered",
    ):
        assert recall[name] >= 0.9, name
    assert recall["sample test changed"] >= 0.8
