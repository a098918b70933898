"""A trace in one model's own ids. Text of the other model is encoded once, at the hand-over.

Not covered: what is accepted (`tessy.synthesis.rollouts`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tessy.chat import Renderer


class View:
    """One model's ids of a trace: extended by accepted text, never re-encoded."""

    def __init__(self, renderer: Renderer, prompt: str, system: str = "", *, thinks: bool = True) -> None:
        self.renderer = renderer
        self.ids = renderer.prompt_ids(prompt, system)
        self.prompt_tokens = len(self.ids)
        self.ids += renderer.open_thinking_ids() if thinks else renderer.no_thinking_ids()
        self._foreign: list[str] = []

    def add_own(self, ids: Sequence[int]) -> None:
        self._take_in()
        self.ids += ids

    def add_foreign(self, text: str) -> None:
        """Add text of the other model; it is encoded once, when this model's turn comes or the trace ends."""
        self._foreign.append(text)

    def close_thinking(self, thinking: str) -> None:
        self._take_in()
        self.ids += self.renderer.close_thinking_ids(thinking)

    def read(self) -> list[int]:
        """All ids so far, including the other model's text."""
        self._take_in()
        return self.ids

    @property
    def written(self) -> int:
        """The number of tokens of the response so far."""
        return len(self.read()) - self.prompt_tokens

    def _take_in(self) -> None:
        if self._foreign:
            self.ids += self.renderer.encode("".join(self._foreign))
            self._foreign.clear()
