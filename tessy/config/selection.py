"""The recipe's section `problems.curation.selection`: which of the clean problems are trained on, and how
often.

Everything here is off by default: see "Evidence" in tessy/curate/README.md. Not covered: cleaning,
duplicates and benchmarks (`tessy.config.curation`).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.config.asking import AskedModel
from tessy.config.base import Generation, Positive, Sampler, Section, Share

Trait = Literal["source", "origin", "topic", "difficulty", "language"]
"""What of a problem may be balanced. `source` is the recipe's name of where it was read, `origin` what the
row itself says (Codeforces, for example)."""


class Rating(AskedModel):
    """A model is asked for a number from 0 to 10 for each problem, and those outside the bounds are left
    out. `prompt` is `contest_relevance_1`, `difficulty_1`, or a text file that holds `{problem}`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """What the number is called in the funnel and in the column `rating_<name>`."""
    minimum: Annotated[float, Field(ge=0, le=10)] = 0
    maximum: Annotated[float, Field(ge=0, le=10)] = 10
    thinking: bool = False
    """Whether the model thinks first."""
    sampler: Sampler = Sampler(temperature=0.0)
    max_tokens: Positive = 1024
    """Longest answer, thinking included."""
    attempts: Positive = 3
    """How often a text is asked about until there is a number; then it has none."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is over maximum {self.maximum:g}; exchange them")
        return self


class PassRate(Generation):
    """The student answers each problem that has tests, and the judge runs its programs."""

    samples: Positive
    """Answers per problem."""
    minimum: Share = 0.0
    maximum: Share = 1.0
    """Problems whose share of right answers is outside are left out."""
    untested: Literal["keep", "drop"] = "keep"
    """What becomes of problems without tests."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is over maximum {self.maximum:g}; exchange them")
        return self


class Balance(Section):
    """No value of a trait has more than a share of the distinct problems that are kept."""

    by: Trait
    most: Annotated[float, Field(gt=0, le=1)]


class Selection(Section):
    """Which problems are kept, and how many samples are drawn of them."""

    ratings: tuple[Rating, ...] = ()
    pass_rate: PassRate | None = None
    balance: tuple[Balance, ...] = ()
    problems: Positive | None = None
    """At most this many distinct problems (paper: 37,000)."""
    samples: Positive | None = None
    """Rows in all, distinct problems repeated as often as needed (paper: 80,000). Unset, each is there
    once."""
    repeats: Positive | None = None
    """No problem is there more often than this. A source of few problems then leaves samples to the others;
    there are fewer samples if all are full."""

    @model_validator(mode="after")
    def _repeats_are_of_samples(self) -> Self:
        if self.repeats is not None and self.samples is None:
            raise ValueError(
                "`repeats` is for `samples`, without which nothing is repeated; set both or none"
            )
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [rating.name for rating in self.ratings]
        if len(set(names)) != len(names):
            raise ValueError(f"ratings {names}: two have one name; each needs its own")
        traits = [balance.by for balance in self.balance]
        if len(set(traits)) != len(traits):
            raise ValueError(f"balance by {traits}: one is named twice; name each once")
        return self
