"""The optimizer Muon in the precision of its parameters.

`torch.optim.Muon` orthogonalises in bfloat16 whatever its parameters are. On a CPU without bfloat16
instructions that is thirty times slower than float32, and the result would depend on the CPU. The rule is
otherwise the same: Nesterov momentum, five Newton-Schulz iterations, and updates of the size of AdamW's
(Jordan et al., https://kellerjordan.github.io/posts/muon/; Liu et al., https://arxiv.org/abs/2502.16982).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
LEAST_NORM = 1e-7
"""Keeps a gradient of zeros from being divided by its norm."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices; `lr` may be changed between steps in `param_groups`."""

    def __init__(self, matrices: Iterable[Tensor], lr: float = 1e-3, weight_decay: float = 0.01) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                self._update(matrix, group["lr"], group["weight_decay"])

    def _update(self, matrix: Tensor, rate: float, decay: float) -> None:
        gradient, state = matrix.grad, self.state[matrix]
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        direction = orthogonalized(gradient.lerp(momentum, MOMENTUM))
        matrix.mul_(1 - rate * decay)
        matrix.add_(direction, alpha=-0.2 * rate * max(matrix.shape) ** 0.5)


def orthogonalized(matrix: Tensor) -> Tensor:
    """`matrix` with its singular values moved close to one (between 0.68 and 1.14), in its own precision."""
    a, b, c = COEFFICIENTS
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=LEAST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
