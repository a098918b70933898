"""From a decoder's hidden states to logits, and what a model is probed with before it is relied on."""

from __future__ import annotations

from typing import Any

import torch

from tessy.errors import UserError

PROBE = 9
"""Ids of a text that a model reads twice, in its own way and in ours."""


def probe_ids(model: Any) -> torch.Tensor:
    """Some ids of the model's vocabulary, shape (1, PROBE)."""
    known = model.config.get_text_config().vocab_size
    return (torch.arange(PROBE) * 7919 % known)[None].to(model.device)


def differs(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The relative difference of two results, if it is more than rounding; else 0."""
    off = float((ours.double() - theirs.double()).norm() / theirs.double().norm().clamp(min=1e-12))
    return off if off > (0.05 if theirs.dtype in (torch.float16, torch.bfloat16) else 1e-3) else 0.0


@torch.inference_mode()
def output_head(model: Any) -> Any:
    """The linear layer that makes logits of hidden states; raises `UserError` for a model that does more with
    them, such as scaling or capping."""
    head, ids = model.get_output_embeddings(), probe_ids(model)
    try:
        off = differs(head(model.base_model(ids).last_hidden_state), model(ids).logits)
    except RuntimeError as error:
        # Mixtures of experts, for one, have no kernels for double precision.
        raise UserError(
            f"model {model.name_or_path}: {model.config.model_type} cannot run in this process in "
            f"{model.dtype}: {error}; use another dtype, or vLLM: kind 'server' or 'vllm'"
        ) from error
    # A cap shows only where logits are large, which these need not be.
    if off or getattr(model.config.get_text_config(), "final_logit_softcapping", None):
        raise UserError(
            f"model {model.name_or_path}: {model.config.model_type} does more to its logits than one linear "
            "layer, such as scaling or capping them; use vLLM: kind 'server' or 'vllm'"
        )
    return head
