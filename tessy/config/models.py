"""The recipe's section `models`: the student and the teacher, and how a stage names a model."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.config.base import MINIATURE, Positive, Rate, Section
from tessy.records import Role


class Pretraining(Section):
    """Size of a miniature model, and how the project trains it from scratch. Its heads have 32 dimensions,
    the least that vLLM's CPU kernel takes."""

    vocabulary: Annotated[int, Field(ge=300)]
    width: Positive
    layers: Positive
    heads: Positive
    mlp: Positive
    documents: Positive
    """Documents read in all, each once."""
    batch: Positive
    """Documents per step."""
    learning_rate: Rate
    """Peak; Muon's updates are scaled to the size of AdamW's, so that one rate serves both."""


Format = Literal["qwen3", "gpt_oss", "deepseek_r1", "harmony"]
"""Chat formats by name (`tessy.chat.formats`)."""


class GptOss(Section):
    """What gpt-oss's own system message says."""

    reasoning_effort: Literal["low", "medium", "high"]
    """How long it thinks (paper: high)."""
    date: datetime.date
    """The current date it is told, frozen so that prompts stay the same."""


class Model(Section):
    """A student or a teacher."""

    source: str
    """`miniature`, a local checkpoint folder, or a hub id."""
    revision: str | None = None
    """Pins a hub id to a commit."""
    format: Format
    """The chat format, which fixes how thinking opens and ends (`tessy.chat.formats`)."""
    gpt_oss: GptOss | None = None
    """Required with `format: gpt_oss`, refused otherwise."""
    pretraining: Pretraining | None = None
    """Required with `source: miniature`, refused otherwise."""

    @model_validator(mode="after")
    def _pretraining_matches_source(self) -> Self:
        if (self.source == MINIATURE) != (self.pretraining is not None):
            raise ValueError("`pretraining` is required with source 'miniature', and only there")
        return self

    @model_validator(mode="after")
    def _format_fits(self) -> Self:
        if (self.format == "gpt_oss") != (self.gpt_oss is not None):
            raise ValueError("section `gpt_oss` is required with format 'gpt_oss', and only there")
        if self.source == MINIATURE and self.format not in ("qwen3", "harmony"):
            raise ValueError(
                f"a miniature model has no markers of format {self.format!r}; "
                "use qwen3 for the student, harmony for the teacher"
            )
        return self


class Models(Section):
    student: Model
    teacher: Model | None = None
    """Required where anything is written or marked; sets of traces that exist already need none."""

    def of(self, role: Role) -> Model:
        model = self.student if role == "student" else self.teacher
        assert model is not None, "the recipe's schema requires it where it is used"
        return model


class ModelReference(Section):
    """A model in a stage's configuration: the recipe's settings, and what is known of its training."""

    source: str
    revision: str | None = None
    format: Format
    gpt_oss: GptOss | None = None
    folder: str = ""
    """Where in the artifact of a trained model it is, if not at its top."""
    system: str = ""
    """The system prompt it is used with."""

    @property
    def files(self) -> list[str]:
        """The checkpoint, if it is local."""
        return [] if self.source == MINIATURE else [self.source]


def reference(model: Model, folder: str = "", system: str = "") -> ModelReference:
    """The part of `model` that stages use."""
    return ModelReference(
        source=model.source,
        revision=model.revision,
        format=model.format,
        gpt_oss=model.gpt_oss,
        folder=folder,
        system=system,
    )
