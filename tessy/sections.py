"""What the recipe's sections are made of: strict, frozen models and the types of their fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MINIATURE = "miniature"
"""The source that stands for "made by this project": problems and models of the miniature contest."""
MINIATURE_CONTEXT = 1024
"""Tokens that its models can read at once."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
"""A server's base URL."""
Rate = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the recipe: unknown keys are refused, values are never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Sampler(Section):
    """How tokens are drawn. Temperature 0 means the most likely token."""

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    """0 switches the cut off."""
