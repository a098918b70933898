"""What the recipe's sections that ask a language model have in common: which model, with what prompt."""

from __future__ import annotations

from pathlib import Path

from tessy.config.base import Positive, Sampler, Section
from tessy.config.shipped import prompt_file
from tessy.records import ROLES, Role


class AskedModel(Section):
    """A model that is asked one question about each text, and asked again where its answer cannot be used."""

    model: str
    """`teacher` or `student`: the recipe's own, on its own engine; else a name at the endpoint
    `execution.annotator`."""
    prompt: str
    """A prompt by name, or a text file with a placeholder for the text."""
    thinking: bool
    """Whether the model thinks first. If not, the recipe's own begins in its answer, as its family does that;
    an endpoint is told by `enable_thinking` where its chat template knows it."""
    sampler: Sampler
    max_tokens: Positive
    """Longest answer, thinking included."""
    attempts: Positive
    """How often a text is asked about until an answer can be used; then it is left out and counted."""

    @property
    def file(self) -> Path:
        return prompt_file(self.prompt)

    @property
    def own(self) -> Role | None:
        """The role whose model is asked; None for an endpoint."""
        return next((role for role in ROLES if role == self.model), None)
