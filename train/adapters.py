"""The products of low-rank adapters, with as few passes over activations as there can be.

PEFT computes `W x + s B A x` as five operations, casts `x` to the adapters' float32 and keeps that copy for
every layer; autocast then casts it back. Here the small products are added to the large one where they are
computed, forward and backward, and only `x` itself is kept.

Not covered: dropout, quantized layers, and ZeRO-3, which gathers weights when PEFT's modules are called;
those layers stay as they are.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn


class _Adapted(torch.autograd.Function):
    """x W^T + bias + scale (x A^T) B^T: frozen W (outputs, inputs), A (rank, inputs), B (outputs, rank)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        low = rows @ down.to(dtype).T
        out = nn.functional.linear(rows, weight.to(dtype), bias)
        out.addmm_(low, up.to(dtype).T, alpha=scale)
        ctx.save_for_backward(rows, weight, down, up, low)
        ctx.scale, ctx.x_dtype = scale, x.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, down, up, low = ctx.saved_tensors
        given = gradients[0].reshape(-1, gradients[0].shape[-1]).to(rows.dtype)
        given_low = (given @ up.to(rows.dtype)).mul_(ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = given @ weight.to(rows.dtype)
            of_x.addmm_(given_low, down.to(rows.dtype))
            of_x = of_x.view(*gradients[0].shape[:-1], -1).to(ctx.x_dtype)
        of_down = (given_low.T @ rows).to(down.dtype)
        of_up = (given.T @ low).mul_(ctx.scale).to(up.dtype)
        return of_x, None, None, of_down, of_up, None


def fuse(model: nn.Module) -> int:
    """Have the adapted layers of `model` compute as above; returns how many do."""
    layers = [module for module in model.modules() if type(module) is LoraLinear and _is_plain(module)]
    for layer in layers:
        setattr(layer, "forward", MethodType(_forward, layer))  # noqa: B010  mypy refuses the other way
    return len(layers)


def _is_plain(layer: Any) -> bool:
    """Whether `_Adapted` is all that the layer computes."""
    (name, *others), base = layer.active_adapters, layer.base_layer
    return (
        not others
        and name not in layer.lora_variant
        and not layer.lora_bias.get(name)
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and type(base) is nn.Linear
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
    )


def _forward(layer: Any, x: Tensor) -> Tensor:
    (name,), base = layer.active_adapters, layer.base_layer
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    out: Tensor = _Adapted.apply(x, base.weight, base.bias, down, up, layer.scaling[name])
    return out
