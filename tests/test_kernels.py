"""The predictor's Triton kernels against the same layer step by step.

On the CPU Triton interprets them, so that this says whether they are right, not whether a GPU compiles them;
`PREDICTOR_DEVICE=cuda pytest -m slow tests/test_predictor_apart.py` does that.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import pytest

HEADS, KV_HEADS, DIM, HIDDEN, WIDTH, ROWS = 4, 2, 32, 48, 80, 5
FEEDS = [[(0, 0, 3)], [(4, 70, 1), (1, 0, 40), (3, 17, 23)], [(0, 0, 80), (2, 79, 1)]]
"""(row, positions it holds already, new ids)"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton comes with vLLM")
def test_a_layer_in_kernels_is_the_layer() -> None:
    """In a process of its own: Triton reads once, when it is loaded, whether kernels are interpreted."""
    import torch

    interpreted = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, __file__], env=os.environ | interpreted, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def check(normed: bool, feeds: list[tuple[int, int, int]]) -> None:
    """Compare one layer over `feeds`, some idle ids behind them."""
    import torch

    from tessy.boundary.graphs import _layer, _layer_in_kernels, _Weights, _Where

    device = "cuda" if torch.cuda.is_available() else "cpu"
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Any:
        return torch.randn(shape, generator=draw).to(device) / shape[-1] ** 0.5

    every, together = (HEADS + 2 * KV_HEADS) * DIM, HEADS + KV_HEADS
    weights = _Weights(
        *(1 + random(HIDDEN), random(every, HIDDEN), None if normed else random(every)),
        1 + random(together, DIM) if normed else None,
        *(random(HEADS * DIM, HIDDEN), None if normed else random(HIDDEN)),
        *(1 + random(HIDDEN), random(2 * 72, HIDDEN), random(72, HIDDEN)),
    )
    feeds = sorted(feeds)
    idle = 3
    rows = torch.tensor([row for row, _, new in feeds for _ in range(new)] + [ROWS] * idle)
    positions = torch.tensor([held + n for _, held, new in feeds for n in range(new)] + [0] * idle)
    counts = torch.zeros(ROWS + 2, dtype=torch.int32)
    filled = torch.zeros(ROWS, dtype=torch.int32)
    for row, before, new in feeds:
        counts[row + 1], filled[row] = new, before + new
    counts[-1] = idle
    turned = random(2, len(rows), 1, DIM)
    at = _Where(
        *(rows * WIDTH + positions, turned[0], turned[1], WIDTH, counts.cumsum(0).int(), filled, rows),
        torch.arange(WIDTH) <= positions[:, None],
    )
    at = _Where(*(part.to(device) if isinstance(part, torch.Tensor) else part for part in at))
    hidden, cache = 3 * random(len(rows), HIDDEN), random(2, (ROWS + 1) * WIDTH, KV_HEADS, DIM)
    other = cache.clone()
    expected = _layer(weights, cache, hidden.clone(), at, HEADS, KV_HEADS, 1e-6)
    found = _layer_in_kernels(weights, other, hidden.clone(), at, 1e-6)
    torch.testing.assert_close(found[:-idle], expected[:-idle], atol=1e-4, rtol=1e-4)
    kept = ROWS * WIDTH
    torch.testing.assert_close(other[:, :kept], cache[:, :kept], atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    for normed in (True, False):
        for feeds in FEEDS:
            check(normed, feeds)
