"""The mean log-probability of a text's tokens under a model, by transformers in this process.

One sequence at a time, with logits in chunks: those of a long trace would not fit in memory. Not covered:
models that only a server can run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from tessy.engines.heads import output_head

PIECE = 1024
"""Tokens whose logits are in memory at a time."""


class LikelihoodReader:
    """Reads with the checkpoint at `source`."""

    def __init__(self, source: str, revision: str | None = None) -> None:
        # In float32, not in the checkpoint's dtype: some CPUs lack bfloat16 instructions, and it rounds more.
        self.model = AutoModelForCausalLM.from_pretrained(
            source, revision=revision, dtype=torch.float32
        ).eval()
        self._head = output_head(self.model)

    @torch.inference_mode()
    def mean_log_probability(self, ids: Sequence[int], prompt_tokens: int) -> float:
        """Of `ids` after the first `prompt_tokens`, in nats per token."""
        whole = torch.tensor(ids, device=self.model.device)
        hidden = self.model.base_model(whole[None, :-1]).last_hidden_state[0, prompt_tokens - 1 :]
        targets = whole[prompt_tokens:]
        losses = [
            cross_entropy(self._head(states).float(), wanted, reduction="sum")
            for states, wanted in zip(hidden.split(PIECE), targets.split(PIECE), strict=True)
        ]
        return -float(torch.stack(losses).sum()) / len(targets)
