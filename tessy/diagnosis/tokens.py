"""A response's tokens: the student's nll of each, and what kind of token it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from tessy.boundary.labels import StyleSpan, token_labels

KINDS = ("style", "capability", "answer", "markup")
STYLE, CAPABILITY, ANSWER, MARKUP = range(4)
THINKING = (STYLE, CAPABILITY)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A response's tokens in order: their text (`pieces`), the student's `nll` in nats, and their kind, an
    index into `KINDS`. Arrays of one length."""

    sample_id: str
    pieces: Sequence[str]
    nll: NDArray[np.float64]
    kinds: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.nll)

    def runs(self, kind: int) -> Iterator[slice]:
        """Stretches of tokens of one kind, as long as they get."""
        inside = np.concatenate(([False], self.kinds == kind, [False]))
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        for start, end in edges.reshape(-1, 2).tolist():
            yield slice(start, end)


def kinds_of(
    pieces: Sequence[str], thinking: str, answer: str, style: Sequence[StyleSpan]
) -> NDArray[np.int8] | None:
    """The kind of each token of a response whose tokens are `pieces`; `style` are stretches of `thinking`.
    What is neither thinking nor answer is markup. None where the tokens do not hold these texts."""
    starts = list(accumulate(map(len, pieces), initial=0))
    thought = _place("".join(pieces), thinking, 0)
    said = _place("".join(pieces), answer, thought[1]) if thought else None
    if thought is None or said is None:
        return None
    kinds = np.full(len(pieces), MARKUP, np.int8)
    inside = [i for i, start in enumerate(starts[:-1]) if thought[0] <= start < thought[1]]
    offsets = [(starts[i] - thought[0], starts[i + 1] - thought[0]) for i in inside]
    for i, label in zip(inside, token_labels(offsets, style), strict=True):
        kinds[i] = STYLE if label else CAPABILITY
    for i, start in enumerate(starts[:-1]):
        if said[0] <= start < said[1]:
            kinds[i] = ANSWER
    return kinds


def _place(whole: str, text: str, start: int) -> tuple[int, int] | None:
    """Where `text` stands in `whole` from `start` on, possibly composed, as some tokenizers write it."""
    for form in dict.fromkeys((text, normalize("NFC", text))):
        at = whole.find(form, start)
        if at >= 0:
            return at, at + len(form)
    return None
