"""Checks that packed samples do not attend to each other, on the backend in use.

The check runs a small model of the same architecture on the device, dtype and attention
implementation that training will use. The content of one packed sample must not affect the next.

Not covered: sample boundaries for layers that mix neighbouring tokens by other means than attention; such
models fail this check.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from tessy.errors import UserError

LENGTH = 24
"""Tokens of each probe sample."""
TOLERANCE = 1e-4
"""Change of an output that rounding may explain; one attended token in `LENGTH` changes far more."""

Forward = Callable[[Tensor, Tensor], Tensor]
"""Ids and positions, both (1, tokens), to outputs (1, tokens, width)."""


def check_packing(config: Any, attention: str, device: torch.device) -> None:
    """Raise `UserError` unless packed samples are kept apart; `config` is the model's own."""
    forward = shrunken(config, attention, device)
    change = cross_talk(forward, device)
    if not change <= TOLERANCE:
        raise UserError(
            f"train.packing: with {attention} attention on {device.type}, a packed sample changes what "
            f"the model makes of the next (by {change:.2g}); switch packing off, or choose another "
            "execution.train.attention"
        )


def cross_talk(forward: Forward, device: torch.device) -> float:
    """How much the outputs for a sample change, at most, when the one packed before it changes; relative
    to their largest value."""
    generator = torch.Generator().manual_seed(0)
    first, other, second = torch.randint(1, 32, (3, LENGTH), generator=generator).to(device)
    positions = torch.arange(LENGTH, device=device).repeat(2)[None]
    with torch.no_grad():
        behind_first, behind_other = (
            forward(torch.cat([before, second])[None], positions)[0, LENGTH:] for before in (first, other)
        )
    return float((behind_first - behind_other).abs().max() / behind_first.abs().max())


def shrunken(config: Any, attention: str, device: torch.device) -> Forward:
    """A model of the same architecture with few layers and random weights, as training would run it."""
    from transformers import AutoModelForCausalLM

    small = deepcopy(config.get_text_config())
    small.vocab_size, small.hidden_size, small.intermediate_size, small.num_hidden_layers = 32, 64, 64, 2
    small.pad_token_id = small.bos_token_id = small.eos_token_id = None
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:2]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(small, attn_implementation=attention, dtype=dtype)
    # Dropout could hide a leak or look like one.
    model.to(device).eval()
    return lambda ids, positions: model(input_ids=ids, position_ids=positions, use_cache=False).logits.float()
