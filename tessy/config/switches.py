"""The recipe's switches: where the authors of a cooperative trace change (`synthesis.switch`)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tessy.config.base import Checkpoint, Positive, Section
from tessy.config.shipped import lexicon_file

LIKELIEST = 8
"""Most probable tokens over which entropy is taken: servers return no more of a distribution."""


class _Switch(Section):
    @property
    def files(self) -> list[str]:
        """Local files and folders whose content decides where authors switch."""
        return []


class PredictorCheckpoint(Checkpoint):
    """An existing boundary predictor: a two-label token classifier."""

    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """A token is style where its probability is above this; by default as the checkpoint's `predictor.json`
    says, and a half where it has none."""


class TrainedSwitch(_Switch):
    """Switch authors at the trained predictors' boundaries (the paper)."""

    kind: Literal["trained"]

    @property
    def title(self) -> str:
        return "trained"


class CheckpointsSwitch(_Switch):
    """Switch at the boundaries of predictors that were trained elsewhere, such as the published ones."""

    kind: Literal["checkpoints"]
    student: PredictorCheckpoint
    teacher: PredictorCheckpoint
    window_tokens: Annotated[int, Field(ge=8)] | None = None
    """Tokens they see, at least half of them to the left (release: 200); by default as each one's
    `predictor.json` says, required where it has none."""

    @property
    def both(self) -> list[PredictorCheckpoint]:
        return [self.student, self.teacher]

    @property
    def files(self) -> list[str]:
        return [one.source for one in self.both]

    @property
    def title(self) -> str:
        at = "".join(f" {one.threshold:g}" for one in self.both if one.threshold is not None)
        return f"checkpoint {Path(self.student.source).name}" + (f" at{at}" if at else "")


class LexiconSwitch(_Switch):
    """Where a lexicon's phrases begin and end."""

    kind: Literal["lexicon"]
    lexicon: str
    """`miniature`, `english`, or a text file with one phrase per line."""

    @property
    def file(self) -> Path:
        return lexicon_file(self.lexicon)

    @property
    def files(self) -> list[str]:
        return [str(self.file)]

    @property
    def title(self) -> str:
        return f"lexicon {Path(self.lexicon).stem}"


class EveryTokensSwitch(_Switch):
    """After a fixed number of tokens."""

    kind: Literal["every_tokens"]
    tokens: Positive
    """Of the active model's own; a word cut in two is the next author's, whole."""

    @property
    def title(self) -> str:
        return f"every {self.tokens} tokens"


class EntropySwitch(_Switch):
    """Before a token that the active model was unsure of: much entropy (`tessy.boundary.uncertainty`)."""

    kind: Literal["entropy"]
    above: Annotated[float, Field(gt=0, lt=math.log(LIKELIEST))]
    """Nats, over the eight likeliest tokens."""

    @property
    def title(self) -> str:
        return f"entropy above {self.above:g}"


class MarginSwitch(_Switch):
    """Before a token that the active model was unsure of: a close second."""

    kind: Literal["margin"]
    below: Annotated[float, Field(gt=0, lt=1)]
    """Probability of the likeliest token less that of the second."""

    @property
    def title(self) -> str:
        return f"margin below {self.below:g}"


class NeverSwitch(_Switch):
    """Not at all: the student thinks alone."""

    kind: Literal["never"]

    @property
    def title(self) -> str:
        return "never"


Switch = Annotated[
    TrainedSwitch
    | CheckpointsSwitch
    | LexiconSwitch
    | EveryTokensSwitch
    | EntropySwitch
    | MarginSwitch
    | NeverSwitch,
    Field(discriminator="kind"),
]
