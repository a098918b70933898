"""A trace as the messages that other tools train on."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.chat.renderer import Renderer


def conversation(
    renderer: Renderer, prompt: str, response: Sequence[int] | str, system: str = ""
) -> list[dict[str, str]]:
    """Messages with `role` and `content`. The assistant's has the whole `response`, given as ids or as their
    text, its thinking between the markers of the model's own template, without what ends the turn."""
    end = renderer.decode(renderer.close_answer_ids())
    said = (response if isinstance(response, str) else renderer.decode(response)).removesuffix(end)
    asked = [{"role": "system", "content": system}] if system else []
    return [*asked, {"role": "user", "content": prompt}, {"role": "assistant", "content": said}]
