"""Questions that methods put to a model in place of the problem itself, and the way back.

What a model was asked is one thing, what the student is trained to answer another: a trajectory carries
the bare problem, whatever its author saw. Prompts are versioned text files: a changed prompt is a new file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tessy.chat import Renderer
from tessy.errors import UserError
from tessy.records import Trajectory

_PLACE = re.compile(r"{(\w+)}")


class Template:
    """The text file at `path`, which the recipe's `field` names, with the places `{name}` to be filled."""

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
        """The prompt; what stands in `values` is never read as a place."""
        return _PLACE.sub(lambda place: values.get(place[1], place[0]), self._text)


def answering(trajectory: Trajectory, prompt: str, renderer: Renderer, system: str = "") -> Trajectory:
    """The trajectory as a response to `prompt`, behind `system` where given, whatever it was written for."""
    ids = renderer.prompt_ids(prompt, system)
    response = trajectory.student_token_ids[trajectory.prompt_tokens :]
    return replace(
        trajectory,
        prompt=prompt,
        messages=[{"role": "user", "content": prompt}],
        student_token_ids=ids + response,
        prompt_tokens=len(ids),
    )
