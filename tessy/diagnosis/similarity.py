"""TF-IDF similarity of a set and the student's own traces, as the paper measures it (mean cosine).

scikit-learn counts and weighs the words. Not covered: meaning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Similarity:
    """Mean cosines, None where there is no pair: of the set's and the student's responses to the same
    prompts, of all pairs across, and within each side; a set in the student's words has them all alike."""

    same_prompt: float | None
    across: float
    within_set: float | None
    within_own: float | None


def similarity(found: Mapping[str, Sequence[str]], own: Mapping[str, Sequence[str]]) -> Similarity | None:
    """Of texts by problem; None where no words are left to count."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    ours, theirs = _flat(found), _flat(own)
    # Words as they are written, with the marks that reasoning is full of.
    vectorizer = TfidfVectorizer(token_pattern=r"[^\W\d_]+|\d+|[^\w\s]", sublinear_tf=True)
    try:
        rows = vectorizer.fit_transform([text for _, text in (*ours, *theirs)])
    except ValueError:
        return None  # What scikit-learn says of an empty vocabulary.
    if not ours or not theirs:
        return None
    one, two = rows[: len(ours)], rows[len(ours) :]
    return Similarity(
        _same(one, two, [key for key, _ in ours], [key for key, _ in theirs]),
        float(_sum(one) @ _sum(two)) / (len(ours) * len(theirs)),
        _within(one),
        _within(two),
    )


def _flat(texts: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(key, text) for key, several in texts.items() for text in several if text.strip()]


def _sum(rows: Any) -> Any:
    return np.asarray(rows.sum(axis=0)).ravel()


def _within(rows: Any) -> float | None:
    """Mean cosine of all pairs of different rows, which have length 1."""
    n = rows.shape[0]
    return float((_sum(rows) ** 2).sum() - n) / (n * (n - 1)) if n > 1 else None


def _same(one: Any, two: Any, left: Sequence[str], right: Sequence[str]) -> float | None:
    """Mean cosine of rows of the same problem."""
    places = defaultdict(list)
    for at, key in enumerate(right):
        places[key].append(at)
    pairs = [(i, j) for i, key in enumerate(left) for j in places.get(key, ())]
    if not pairs:
        return None
    rows, columns = (list(side) for side in zip(*pairs, strict=True))
    return float(one[rows].multiply(two[columns]).sum()) / len(pairs)
