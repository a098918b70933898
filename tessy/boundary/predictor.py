"""A trained boundary predictor at work: a token classifier over the text so far.

The label at token i speaks of token i + 1, so one pass over the text also says what comes next. Labels
are 1 (style) and 0 (capability) in the predictor's own tokens; the student's predictor looks for
capability, the teacher's for style. Chunks of all live samples that wait at the same moment are scored
in one batch.

Not covered: scoring each token only once (every call reads its whole window), serving by vLLM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import torch

from tessy.errors import UserError
from tessy.records import Role

FOREIGN_LABEL: dict[Role, int] = {"student": 0, "teacher": 1}
"""What must not occur in a role's own text (Algorithm 1, step 2)."""

CHARACTERS_PER_TOKEN = 16
"""A generous bound: how much context text can fill a window, before it is tokenised."""


class BoundaryPredictor:
    """Classifies with the checkpoint at `source`, seeing `window_tokens` of left context."""

    def __init__(self, source: str, role: Role, window_tokens: int, revision: str | None = None) -> None:
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        # Double precision, as in the engines: a label must not depend on who shares the batch.
        self.model = AutoModelForTokenClassification.from_pretrained(
            source, revision=revision, dtype=torch.float64
        )
        self.model.eval()
        _check(source, self.model.config, self.tokenizer, window_tokens)
        self.role, self.window_tokens = role, window_tokens
        self._waiting: list[tuple[str, str, asyncio.Future[list[tuple[int, float]]]]] = []

    async def foreign(self, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's) for its tokens, in order."""
        done: asyncio.Future[list[tuple[int, float]]] = asyncio.get_running_loop().create_future()
        self._waiting.append((context, chunk, done))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        foreign = FOREIGN_LABEL[self.role]
        return [(offset, int(style > 0.5) == foreign) for offset, style in await done]

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        scores = self.style_probabilities([(context, chunk) for context, chunk, _ in waiting])
        for (_, _, done), score in zip(waiting, scores, strict=True):
            if not done.cancelled():
                done.set_result(score)

    def style_probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[list[tuple[int, float]]]:
        """For each (context, chunk): (offset in chunk, probability of style) of every token of the chunk.

        The very first token of a trace has nothing before it to be judged from and is left out.
        """
        windows = [self._window(context, chunk) for context, chunk in pairs]
        probabilities = self._classify([ids for ids, _ in windows])
        return [
            [(offset, row[i - 1]) for i, offset in enumerate(offsets) if offset is not None and i > 0]
            for (_, offsets), row in zip(windows, probabilities, strict=True)
        ]

    def _window(self, context: str, chunk: str) -> tuple[list[int], list[int | None]]:
        """Ids of a window, and each one's offset in the chunk (None for context)."""
        tail = context[-self.window_tokens * CHARACTERS_PER_TOKEN :]
        encoded = self.tokenizer(
            tail + chunk, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
        )
        ids, ends = encoded["input_ids"], [end for _, end in encoded["offset_mapping"]]
        starts = [start for start, _ in encoded["offset_mapping"]]
        first = next((i for i, end in enumerate(ends) if end > len(tail)), len(ids))
        left = max(0, first - self.window_tokens)
        offsets = [None] * (first - left) + [max(0, start - len(tail)) for start in starts[first:]]
        return ids[left:], offsets

    @torch.inference_mode()
    def _classify(self, batch: Sequence[list[int]]) -> list[list[float]]:
        """Probability of style from every position's label, one list per row of ids."""
        width = max((len(ids) for ids in batch), default=0)
        if not width:
            return [[] for _ in batch]
        ids = torch.tensor([row + [0] * (width - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        return logits.softmax(-1)[:, :, 1].tolist()


def _check(source: str, config: Any, tokenizer: Any, window_tokens: int) -> None:
    if config.num_labels != 2:
        raise UserError(
            f"predictor {source}: {config.num_labels} labels; a boundary predictor has 2 (0 "
            "capability, 1 style)"
        )
    if not tokenizer.is_fast:
        raise UserError(f"predictor {source}: its tokenizer gives no offsets; convert it to a fast tokenizer")
    if window_tokens >= config.max_position_embeddings:
        raise UserError(
            f"predictors.window_tokens {window_tokens}: predictor {source} holds "
            f"{config.max_position_embeddings} tokens; lower it"
        )
