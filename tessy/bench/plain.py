"""What the benches' renderers share: a format with no marks but one id that ends a part."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.chat import FORMATS

END = 1 << 30
"""The id that ends the thinking and the answer; no text has it."""


class PlainRenderer:
    """The parts of a renderer that do not depend on what its ids stand for."""

    format = FORMATS["qwen3"]
    thinking_end_ids = answer_end_ids = (END,)
    end_spellings = ()

    def open_thinking_ids(self) -> list[int]:
        return []

    def close_thinking_ids(self, thinking: str) -> list[int]:
        return [END]

    def close_thinking_text(self, thinking: str) -> str:
        return self.format.close_thinking

    close_answer_ids = open_thinking_ids

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each id."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.pieces([token for token in ids if token != END]))

    def end_reason(self, part: str, token_id: int) -> str:
        return "end"
