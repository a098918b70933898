"""A boundary predictor as the authors' release uses it: a sliding window over the last tokens, uncached.

The window ends where the chunk ends, so a token's label depends on how the text was cut into chunks, and
every token is computed again for each chunk whose window holds it. Kept for `compat` and as the measured
baseline; runs use `tessy.boundary.predictor`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.predictor import load_classifier
from tessy.records import Role


class SlidingPredictor:
    """Classifies with the checkpoint at `source`, seeing the last `window_tokens` of context and chunk."""

    def __init__(
        self,
        source: str,
        role: Role,
        window_tokens: int,
        *,
        revision: str | None = None,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        self.tokenizer, self.model = load_classifier(source, window_tokens, revision, dtype, device)
        self.role, self.window_tokens = role, window_tokens

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's), for tokens in the window."""
        return self.judge([(context, chunk)])[0]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[list[tuple[int, bool]]]:
        """Judge (context, chunk) pairs in one batch."""
        windows = [self._window(context, chunk) for context, chunk in pairs]
        width = max(len(ids) for ids, _ in windows)
        if not width:
            return [[] for _ in pairs]
        device = self.model.device
        ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in windows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in windows], device=device)
        with torch.inference_mode():
            labels = self.model(input_ids=ids, attention_mask=mask).logits.argmax(-1).tolist()
        foreign = FOREIGN_LABEL[self.role]
        return [
            [(offset, row[i - 1] == foreign) for i, offset in enumerate(offsets) if offset >= 0 and i > 0]
            for (_, offsets), row in zip(windows, labels, strict=True)
        ]

    def _window(self, context: str, chunk: str) -> tuple[list[int], list[int]]:
        """Ids of the last tokens, and each one's offset in the chunk (negative for context)."""
        encoded = self.tokenizer.backend_tokenizer.encode(context + chunk, add_special_tokens=False)
        offsets = [start - len(context) for start, _ in encoded.offsets]
        return encoded.ids[-self.window_tokens :], offsets[-self.window_tokens :]
