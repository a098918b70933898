"""The recipe's section `synthesis`: which methods write training responses, and how.

Not covered: what the methods are (`methods`); what runs the models (`execution`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tessy.errors import nearest
from tessy.predictors import Switch, TrainedSwitch
from tessy.sections import Positive, Sampler, Section
from tessy.synthesis.methods import METHODS


class ChunkTokens(Section):
    """k of Algorithm 1, for each author."""

    student: Positive
    teacher: Positive


class Compatibility(Section):
    """Where the authors' release differs from the paper, a switch for each; the defaults are the paper's."""

    hand_over: Literal["drop", "extend"] = "drop"
    """The word a boundary falls into is dropped (paper), or kept to its end (release)."""
    first_token: bool = True
    """Whether the first token of a chunk can be a boundary. Where it cannot (release), chunks are taken as
    they are, words cut in two included."""
    end_spellings: list[str] = Field(default_factory=list)
    """Text that ends thinking as an end token does (release: `</think>`, `assistantfinal`)."""
    window: Literal["fixed", "sliding"] = "fixed"
    """Predictors see windows that start at fixed places, or always the last tokens (release)."""


OFFICIAL = Compatibility(
    hand_over="extend", first_token=False, end_spellings=["</think>", "assistantfinal"], window="sliding"
)


class Synthesis(Section):
    """How training responses are written."""

    methods: Annotated[list[str], Field(min_length=1)]
    """Compared methods, by name (`tessy.synthesis.methods`)."""
    chunk_tokens: ChunkTokens
    """k of Algorithm 1: tokens written before the boundary predictor is asked. One number, or one for each
    author (paper: 20; release: 5 for the student, 10 for the teacher)."""
    compat: Compatibility = Compatibility()
    """`official` switches everything to the release's behaviour."""
    max_tokens: Positive
    """Longest response, thinking and answer, in the student's tokens."""
    sampler: Sampler
    switch: Switch = TrainedSwitch(kind="trained")
    """What decides where authors hand over, in methods in which both write the thinking."""

    @field_validator("chunk_tokens", mode="before")
    @classmethod
    def _one_number_for_both(cls, value: Any) -> Any:
        return {"student": value, "teacher": value} if isinstance(value, int) else value

    @field_validator("compat", mode="before")
    @classmethod
    def _official_by_name(cls, value: Any) -> Any:
        return OFFICIAL if value == "official" else value

    @model_validator(mode="after")
    def _methods_exist_once(self) -> Self:
        for method in self.methods:
            if method not in METHODS:
                raise ValueError(
                    f"unknown method {method!r}{nearest(method, METHODS)}; methods: {', '.join(METHODS)}"
                )
        if len(set(self.methods)) != len(self.methods):
            raise ValueError(f"methods {self.methods} names one twice; name each once")
        return self
