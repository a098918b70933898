"""The log-probabilities of a text's tokens under a model, by transformers in this process.

One sequence at a time, with logits in chunks: those of a long trace would not fit in memory. Not covered:
models that only a server can run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from tessy.engines.heads import output_head

PIECE = 1024
"""Tokens whose logits are in memory at a time."""


class LikelihoodReader:
    """Reads with the checkpoint at `source`."""

    def __init__(self, source: str, revision: str | None = None, device: str = "cpu") -> None:
        # In float32, not in the checkpoint's dtype: some CPUs lack bfloat16 instructions, and it rounds more.
        model = AutoModelForCausalLM.from_pretrained(source, revision=revision, dtype=torch.float32)
        self.model = model.eval().to(device)
        self._head = output_head(self.model)

    @torch.inference_mode()
    def token_nll(self, ids: Sequence[int], prompt_tokens: int) -> Tensor:
        """Negative log-probability of each of `ids` after the first `prompt_tokens`, in nats."""
        whole = torch.tensor(ids, device=self.model.device)
        hidden = self.model.base_model(whole[None, :-1]).last_hidden_state[0, prompt_tokens - 1 :]
        targets = whole[prompt_tokens:]
        losses = [
            cross_entropy(self._head(states).float(), wanted, reduction="none")
            for states, wanted in zip(hidden.split(PIECE), targets.split(PIECE), strict=True)
        ]
        return torch.cat(losses)

    def mean_log_probability(self, ids: Sequence[int], prompt_tokens: int) -> float:
        """Of `ids` after the first `prompt_tokens`, in nats per token."""
        nll = self.token_nll(ids, prompt_tokens)
        return -float(nll.sum()) / len(nll)
