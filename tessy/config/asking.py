"""What the recipe's sections that ask a language model have in common: which model, with what prompt.

Not covered: how it answers, for which some sections have defaults.
"""

from __future__ import annotations

from pathlib import Path

from tessy.config.base import Section
from tessy.config.shipped import prompt_file
from tessy.records import ROLES, Role


class AskedModel(Section):
    """A model that is asked one question about each text, and asked again where its answer cannot be used."""

    model: str
    """`teacher` or `student`: the recipe's own, on its own engine; else a name at the endpoint
    `execution.annotator`."""
    prompt: str
    """A prompt by name, or a text file with a placeholder for the text."""

    @property
    def file(self) -> Path:
        return prompt_file(self.prompt)

    @property
    def own(self) -> Role | None:
        """The role whose model is asked; None for an endpoint."""
        return next((role for role in ROLES if role == self.model), None)
