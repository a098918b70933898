"""The recipe's section `models`: the student and the teacher, and how a stage names a model."""

from __future__ import annotations

import datetime
from pathlib import Path
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


Format = Literal["auto", "qwen3", "gpt_oss", "deepseek_r1", "harmony"]
"""Chat formats by name (`tessy.chat.formats`); `auto` works one out from the model's own chat template
(`tessy.chat.probing`)."""


class ThinkingMarks(Section):
    """What opens and closes thinking, for a model whose template and vocabulary say nothing of it. Where this
    spells tokens of the vocabulary, they are used; otherwise it is text."""

    open: str
    """For example `"<think>\\n"`."""
    close: Annotated[str, Field(pattern=r"^\s*\S+\s*$")]
    """For example `"\\n</think>\\n\\n"`: one word, with the white space around it."""
    no_thinking: str = ""
    """What opens an answer without thinking."""


class Template(Section):
    """What a chat template is told besides the messages."""

    date: datetime.date | None = None
    """The current date, where it writes one: frozen, so that prompts stay the same."""
    arguments: dict[str, str | bool | int] = Field(default_factory=dict)
    """Further variables of the template, such as `reasoning_effort`."""


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
    format: Format = "auto"
    """The chat format, which fixes how thinking opens and ends. `tessy inspect-format MODEL` shows what
    `auto` finds."""
    thinking: ThinkingMarks | None = None
    """What opens and closes thinking, where `format: auto` cannot find it."""
    template: Template | None = None
    """What the chat template is told with `format: auto`."""
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
        for name, given in {"thinking": self.thinking, "template": self.template}.items():
            if self.format != "auto" and given is not None:
                raise ValueError(f"`{name}` is for format 'auto', and {self.format!r} knows it by itself")
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

    @model_validator(mode="after")
    def _miniatures_speak_their_own(self) -> Self:
        if self.student.source == MINIATURE and self.student.format != "qwen3":
            raise ValueError(
                f"student.format {self.student.format!r}: the miniature student has qwen3's markers alone"
            )
        return self


class ModelReference(Section):
    """A model in a stage's configuration: the recipe's settings, and what is known of its training."""

    source: str
    revision: str | None = None
    format: Format = "auto"
    thinking: ThinkingMarks | None = None
    template: Template | None = None
    gpt_oss: GptOss | None = None
    folder: str = ""
    """Where in the artifact of a trained model it is, if not at its top."""
    system: str = ""
    """The system prompt it is used with."""

    @property
    def files(self) -> list[str]:
        """The checkpoint, if it is local."""
        return [] if self.source == MINIATURE else [self.source]

    def within(self, artifact: Path) -> str:
        """Where the checkpoint is in the artifact of the stage that made it."""
        return str(artifact / self.folder / "model")


def reference(model: Model, folder: str = "", system: str = "") -> ModelReference:
    """The part of `model` that stages use."""
    return ModelReference(
        source=model.source,
        revision=model.revision,
        format=model.format,
        thinking=model.thinking,
        template=model.template,
        gpt_oss=model.gpt_oss,
        folder=folder,
        system=system,
    )
