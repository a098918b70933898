"""Base classes of the recipe's sections: strict, frozen models and the types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

MINIATURE = "miniature"
"""The source that stands for "made by this project": problems and models of the miniature contest."""
MINIATURE_CONTEXT = 1024
"""Tokens that its models can read at once."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
"""A server's base URL."""
Rate = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the recipe: unknown keys are refused, values are never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values of some fields; raises `TypeError` for a name that is no field, which
        Pydantic would keep as one more attribute."""
        if unknown := (update or {}).keys() - type(self).model_fields.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        return super().model_copy(update=update, deep=deep)

    @property
    def plain(self) -> dict[str, Any]:
        """The section as JSON types, with all defaults."""
        return self.model_dump(mode="json")


S = TypeVar("S", bound=Section)


def part(kind: type[S], whole: Section) -> S:
    """The fields of `whole` that its base class `kind` has, as an instance of `kind`."""
    return kind(**{name: getattr(whole, name) for name in kind.model_fields})


class Sampler(Section):
    """How tokens are drawn, by vLLM's names. Temperature 0 means the most likely token."""

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    """0 switches the cut off."""


class Generation(Section):
    """How one response is written."""

    max_tokens: Positive
    """Longest response, thinking and answer, in the tokens of the model that is trained."""
    sampler: Sampler


class Checkpoint(Section):
    """Existing weights."""

    source: str
    """A local checkpoint folder or a hub id."""
    revision: str | None = None
    """Pins a hub id to a commit."""
