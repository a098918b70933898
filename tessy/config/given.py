"""Traces that somebody else wrote, as a compared method of the recipe (`synthesis.methods`)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from tessy.config.base import Name, Section
from tessy.config.sources import Source
from tessy.records import Role

Text = Annotated[str, Field(min_length=1)]


class ThinkingMarkers(Section):
    """Texts around the thinking in a response."""

    opening: Text
    closing: Text


class GivenTraces(Source):
    """A set of prompts and responses with thinking."""

    name: Name
    """What the method is called in stages and overrides."""
    title: str = ""
    """Its row of the report; by default its name."""
    markers: ThinkingMarkers | None = None
    """Where thinking stands, if not between markers that are known (`tessy.sources.thinking`)."""
    system: Literal["drop", "keep"] = "drop"
    """What becomes of a row's own system prompt."""
    spans: Literal["predictor"] | None = None
    """Have a boundary predictor (that of `synthesis.switch`) mark style and capability, so that losses by
    kind exist for this set as well."""
    marked_by: Role = "teacher"
    """Whose predictor that is."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if not self.source:
            raise ValueError("`source` is missing; name a file, a folder or a hub id")
        return self


class GivenMethod(Section):
    """A method that is a given set."""

    given: GivenTraces

    @property
    def name(self) -> str:
        return self.given.name

    @property
    def title(self) -> str:
        return self.given.title or self.given.name


BY_NAME, GIVEN = "a method by name", "a given set"
Method = Annotated[
    Annotated[str, Tag(BY_NAME)] | Annotated[GivenMethod, Tag(GIVEN)],
    Discriminator(lambda value: BY_NAME if isinstance(value, str) else GIVEN),
]
"""An entry of `synthesis.methods`."""
