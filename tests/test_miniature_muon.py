"""Muon takes the steps that PyTorch's takes, in float32."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tessy.miniature.muon import Muon, orthogonalized  # noqa: E402

SHAPES = [(24, 24), (16, 40), (40, 16)]


def test_its_steps_are_those_of_pytorch_up_to_the_rounding_of_bfloat16() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(shape, generator=generator) for shape in SHAPES]
    theirs = [matrix.clone() for matrix in ours]
    started = [matrix.clone() for matrix in ours]
    optimizers = (
        Muon(ours, lr=0.02, weight_decay=0.01),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(10):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=generator)
        for optimizer in optimizers:
            optimizer.step()
    for one, other, start in zip(ours, theirs, started, strict=True):
        assert (one - other).norm() < 0.02 * (one - start).norm()


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = torch.linalg.svdvals(orthogonalized(matrix))
    assert found.min() > 0.3
    assert found.max() < 1.2


def test_a_gradient_of_zeros_changes_nothing_but_the_decay() -> None:
    matrix = torch.ones(3, 3)
    matrix.grad = torch.zeros(3, 3)
    Muon([matrix], lr=0.1, weight_decay=0.5).step()
    assert matrix.allclose(torch.full((3, 3), 0.95))
