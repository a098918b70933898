"""Recorded passes of fixed shapes and a process of its own: the same labels as reading along in this process.

With PREDICTOR_DEVICE=cuda passes are recorded and replayed; on the CPU the same pass runs step by step.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tessy.errors import UserError
from tests.predictor_model import DEVICE, make_predictor, text_of

pytestmark = pytest.mark.slow

ROWS, WINDOW = 20, 48


@pytest.mark.parametrize("family", ["qwen3", "qwen2"])
def test_a_pass_of_a_fixed_shape_says_what_transformers_says(tmp_path: Path, family: str) -> None:
    """Any rows, from anywhere in what they hold, one id or many."""
    import torch

    from tessy.boundary.graphs import GraphReader
    from tessy.boundary.predictor import SlotReader, load_classifier

    make_predictor(tmp_path, family=family)
    _, model = load_classifier(str(tmp_path), WINDOW, None, torch.float32, DEVICE)
    model.score.bias.data.normal_()
    static = GraphReader(model, ROWS, WINDOW)
    exact = SlotReader(model, ROWS, WINDOW)
    rng, held = random.Random(0), [0] * ROWS
    for _ in range(60):
        rows = rng.sample(range(ROWS), rng.randrange(1, ROWS + 1))
        starts = [rng.randrange(0, min(held[row], WINDOW - 1) + 1) for row in rows]
        lengths = [rng.randrange(1, WINDOW - start + 1) if rng.random() < 0.3 else 1 for start in starts]
        feeds = [[rng.randrange(300) for _ in range(length)] for length in lengths]
        for row, start, length in zip(rows, starts, lengths, strict=True):
            held[row] = start + length
        found, expected = (reader.launch(rows, starts, feeds).land() for reader in (static, exact))
        assert [len(one) for one in found] == lengths
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, abs=1e-4)


def test_more_blocks_than_a_pass_holds_are_several_passes(tmp_path: Path) -> None:
    import torch

    from tessy.boundary import graphs
    from tessy.boundary.predictor import SlotReader, load_classifier

    _, model = load_classifier(str(make_predictor(tmp_path)), WINDOW, None, torch.float32, DEVICE)
    rows = list(range(graphs.SIZES[-1] // 40))
    feeds = [[(7 * row + n) % 300 for n in range(WINDOW)] for row in rows]
    static, exact = (kind(model, len(rows), WINDOW) for kind in (graphs.GraphReader, SlotReader))
    found, expected = (reader.launch(rows, [0] * len(rows), feeds).land() for reader in (static, exact))
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_a_predictor_in_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    """Texts arrive in lumps, some questions are given up, and a trace that is released begins anew."""
    from tessy.boundary.apart import apart
    from tessy.boundary.predictor import BoundaryPredictor

    source, texts = str(make_predictor(tmp_path)), {f"s{n}": text_of(n, 40) for n in range(6)}

    async def read(predictor: Any, sample: str) -> list[tuple[int, bool]]:
        rng, at, out = random.Random(sample), 0, []
        while at < len(texts[sample]):
            end = min(len(texts[sample]), at + rng.randrange(1, 30))
            found = await predictor.foreign(sample, texts[sample][:at], texts[sample][at:end])
            out += [(at + offset, foreign) for offset, foreign in found]
            at = end
        predictor.release(sample)
        return out

    async def given_up(predictor: Any, sample: str) -> None:
        asking = asyncio.create_task(predictor.foreign(sample, "", texts[sample][:9]))
        await asyncio.sleep(0)
        asking.cancel()
        predictor.release(sample)

    async def everything(predictor: Any) -> list[Any]:
        await asyncio.gather(*(given_up(predictor, sample) for sample in texts))
        return [await asyncio.gather(*(read(predictor, sample) for sample in texts)) for _ in range(2)]

    async def beside() -> list[Any]:
        async with apart(source, "student", WINDOW, slots=6, device="cpu", dtype="float64") as predictor:
            found = await everything(predictor)
            assert predictor.tokens_read > 0
            return found

    here = BoundaryPredictor(source, "student", WINDOW, slots=6)
    assert asyncio.run(beside()) == asyncio.run(everything(here))


def test_whoever_waits_for_a_process_that_dies_is_told(tmp_path: Path) -> None:
    from tessy.boundary.apart import apart

    source = str(make_predictor(tmp_path))

    async def killed() -> None:
        async with apart(source, "teacher", WINDOW, slots=1, device="cpu", dtype="float32") as predictor:
            os.kill(predictor.process.pid, signal.SIGKILL)
            for chunk in ("okay then so", "asked afterwards"):
                await asyncio.wait_for(predictor.passes.free(), 60)
                with pytest.raises(UserError, match="its process ended with -9"):
                    await asyncio.wait_for(predictor.foreign("s", "", chunk), 60)

    asyncio.run(killed())


def test_traces_that_end_keep_nobody_from_asking(tmp_path: Path) -> None:
    from tessy.boundary.apart import apart

    source = str(make_predictor(tmp_path))

    async def asked() -> None:
        settings = {"slots": 2, "device": "cpu", "dtype": "float32"}
        async with apart(source, "teacher", WINDOW, rest=20.0, **settings) as predictor:
            for sample_id in ("a", "b"):
                await asyncio.wait_for(predictor.passes.free(), 60)
                await predictor.foreign(sample_id, "", "okay then so")
                await asyncio.wait_for(predictor.passes.free(), 60)
                predictor.release(sample_id)
            await asyncio.sleep(0.01)
            await asyncio.wait_for(predictor.passes.free(), 60)

    asyncio.run(asked())


def test_a_predictor_that_cannot_load_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    from tessy.boundary.apart import apart

    async def start() -> None:
        async with apart(str(tmp_path), "teacher", WINDOW, slots=1, device="cpu", dtype="float32"):
            pass

    with pytest.raises(UserError, match="its process ended with 1 while it loaded"):
        asyncio.run(start())
