"""Causal attention sample by sample, with PyTorch's `scaled_dot_product_attention`.

transformers gives it a mask where a row holds several samples or padding: of tokens x tokens, and no fused
kernel skips what it hides. Here every sample of a packed row is a call of its own without a mask. Padding is
not looked at, because it comes after every token that has a loss.

Not covered: sliding windows, and many short samples in a row, for which a call each is too much.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tessy.config.train import TrainExecution
from tessy.errors import UserError

BY_SAMPLE = "sdpa_by_sample"
"""transformers' name of this."""


def implementation(spread: TrainExecution) -> str:
    """The attention of `spread` by transformers' name."""
    alone = spread.sequence_parallel == 1 and torch.cuda.is_available()
    return BY_SAMPLE if spread.attention == "sdpa" and alone else spread.attention


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_ids: Tensor | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """(rows, heads, tokens, head_dim) each, to (rows, tokens, heads, head_dim). A sample begins at a position
    that does not go on by one."""
    if sliding_window:
        raise UserError(
            f"execution.train.attention: this model's layers see windows of {sliding_window} tokens, which "
            "'sdpa' does not know; use flash_attention_2"
        )
    grouped = query.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(
            query[:, :, start:end],
            key[:, :, start:end],
            value[:, :, start:end],
            dropout_p=dropout,
            is_causal=True,
            scale=scaling,
            enable_gqa=grouped,
        ).transpose(1, 2)
        for start, end in pairwise(_starts(position_ids, query.shape[2]))
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)), None


_latest: tuple[Tensor | None, list[int]] = None, []
"""All layers of a model are called with the same positions: they are read from the device once."""


def _starts(position_ids: Tensor | None, tokens: int) -> list[int]:
    """Where samples start, and the end."""
    global _latest
    if position_ids is None:
        return [0, tokens]
    if _latest[0] is not position_ids:
        if len(position_ids) > 1 and not bool((position_ids == position_ids[:1]).all()):
            raise RuntimeError("packed samples must be in one row")
        starts = 1 + (position_ids[0].diff() != 1).nonzero()[:, 0]
        _latest = position_ids, [0, *starts.tolist(), tokens]
    return _latest[1]


def _no_mask(*_: Any, **__: Any) -> None:
    """The mask, for transformers."""


ALL_ATTENTION_FUNCTIONS.register(BY_SAMPLE, attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(BY_SAMPLE, _no_mask)
