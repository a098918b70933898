"""How good boundaries are, where the truth is known (the miniature) or annotated.

Texts are compared word by word: a word's label is that of its first token, so that predictors with
different tokenizers can be compared. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tessy.records import Trajectory

TruthSpan = tuple[int, int, str]
"""Start, end and kind ("style" or "capability") of a stretch; stretches cover their text."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of style words found, and of changes of author found at exactly the right word."""

    style_hits: int = 0
    style_found: int = 0
    style_true: int = 0
    boundary_hits: int = 0
    boundary_found: int = 0
    boundary_true: int = 0

    def __add__(self, more: Confusion) -> Confusion:
        return Confusion(*(getattr(self, name) + getattr(more, name) for name in self.__slots__))

    @property
    def token_f1(self) -> float:
        return _f1(self.style_hits, self.style_found, self.style_true)

    @property
    def boundary_f1(self) -> float:
        return _f1(self.boundary_hits, self.boundary_found, self.boundary_true)


def _f1(hits: int, found: int, true: int) -> float:
    return 2 * hits / (found + true) if found + true else 1.0


def compare(text: str, predicted: Sequence[tuple[int, bool]], truth: Sequence[TruthSpan]) -> Confusion:
    """Compare labels (offset, is style) of `text` with the truth. Words without a label are left out."""
    found, true = [], []
    for match in re.finditer(r"\S+", text):
        inside = [style for offset, style in predicted if match.start() - 1 <= offset < match.end()]
        if inside:
            found.append(inside[0])
            true.append(_kind_at(truth, match.start()) == "style")
    found_changes, true_changes = _changes(found), _changes(true)
    return Confusion(
        sum(f and t for f, t in zip(found, true, strict=True)),
        sum(found),
        sum(true),
        len(found_changes & true_changes),
        len(found_changes),
        len(true_changes),
    )


def _changes(labels: Sequence[bool]) -> set[int]:
    return {i for i in range(1, len(labels)) if labels[i] != labels[i - 1]}


def _kind_at(truth: Sequence[TruthSpan], offset: int) -> str:
    return next((kind for start, end, kind in truth if start <= offset < end), "")


def leaks(trajectories: Iterable[tuple[Trajectory, Sequence[TruthSpan]]]) -> tuple[float, float]:
    """Style leak and capability leak of cooperative traces, given the truth of each one's thinking.

    Style leak: the share of what the teacher wrote that is style. Capability leak: the share of what
    the student wrote that is capability. Both in characters that are not white space.
    """
    leaked, written = {"student": 0, "teacher": 0}, {"student": 0, "teacher": 0}
    for trajectory, truth in trajectories:
        at = 0
        for span in trajectory.spans:
            if span.kind not in ("style", "capability"):
                continue
            wrong = "style" if span.author == "teacher" else "capability"
            for index, character in enumerate(span.text, start=at):
                if not character.isspace():
                    written[span.author] += 1
                    leaked[span.author] += _kind_at(truth, index) == wrong
            at += len(span.text)
    return leaked["teacher"] / max(1, written["teacher"]), leaked["student"] / max(1, written["student"])
