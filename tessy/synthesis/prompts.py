"""Prompts that methods use in place of the problem itself, and the conversion back.

A trajectory has the bare problem as its prompt, on which the student is trained, even if its author was shown
another prompt. Prompts are versioned text files: a changed prompt is a new file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tessy.chat import Renderer, conversation
from tessy.errors import UserError
from tessy.records import Trajectory

_PLACE = re.compile(r"{(\w+)}")


class Template:
    """The text file at `path`, given by the recipe's `field`, with placeholders `{name}`."""

    def __init__(self, path: Path, field: str, places: set[str]) -> None:
        try:
            self._text = path.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{field}: {path} cannot be read: {error}; name a text file") from None
        found = set(_PLACE.findall(self._text))
        if not places <= found:
            missing = ", ".join(f"{{{place}}}" for place in sorted(places - found))
            raise UserError(f"{field}: {path} lacks {missing}; the prompt must hold it")

    def fill(self, **values: str) -> str:
        """The prompt with `values` inserted; placeholders inside values are not expanded."""
        return _PLACE.sub(lambda place: values.get(place[1], place[0]), self._text)


def answering(trajectory: Trajectory, prompt: str, renderer: Renderer, system: str = "") -> Trajectory:
    """The trajectory with its prompt replaced by `prompt`, after `system` if given."""
    ids = renderer.prompt_ids(prompt, system)
    response = trajectory.student_token_ids[trajectory.prompt_tokens :]
    return replace(
        trajectory,
        prompt=prompt,
        messages=conversation(renderer, prompt, response, system),
        student_token_ids=ids + response,
        prompt_tokens=len(ids),
    )
