"""What a diagnosis says: the contents of `diagnosis.json`, and what only the page shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessy.diagnosis.phrases import Phrase
from tessy.diagnosis.similarity import Similarity
from tessy.diagnosis.summary import Gap, Health


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Of a `dataset` of `rows` for a `student`: `gaps` by part in nats per token, the `set` beside the
    student's `own` traces, its most surprising style `phrases`, TF-IDF `similarity` of whole responses and of
    their style. `left_out` counts rows and responses that could not be read, by reason; `style_by` says what
    decided about style."""

    dataset: str
    student: str
    format: str
    style_by: str
    rows: int
    left_out: Mapping[str, int]
    gaps: Mapping[str, Gap]
    set: Health
    own: Health
    phrases: Sequence[Phrase]
    similarity: Mapping[str, Similarity | None]
    context: int
    seed: int


@dataclass(frozen=True, slots=True)
class TokenShown:
    """A token of the response that the page shows."""

    text: str
    nll: float
    kind: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A diagnosis with a typical response, and the command that made it."""

    contents: Diagnosis
    typical: Sequence[TokenShown]
    command: str
