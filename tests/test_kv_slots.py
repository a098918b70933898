"""The pooled cache on another device than the CPU, as far as that can be told without one: on PyTorch's meta
device, whose tensors have no values, so that whoever looks at one from Python is refused."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROWS, LENGTH = 6, 32


def test_a_pass_computes_on_the_models_device_alone_and_never_waits_for_it() -> None:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from transformers import Qwen3Config, Qwen3ForTokenClassification

    from tessy.engines.kv_slots import SlotModel, layout

    class OnMetaAlone(TorchDispatchMode):
        """Refuses every operation that touches a tensor elsewhere, but for the move itself."""

        moved = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            touched = {t.device.type for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)}
            if func is torch.ops.aten._to_copy.default and touched == {"cpu", "meta"}:
                self.moved += 1
            else:
                assert touched <= {"meta"}, func
            return out

    config = Qwen3Config(
        vocab_size=50,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
    )
    with torch.device("meta"):
        model = Qwen3ForTokenClassification(config).eval()
    reader, rng = SlotModel(model, ROWS, LENGTH), random.Random(0)
    # All rows at once, few of many (whose keys are gathered), and one.
    for rows in (range(ROWS), [1, 5], [4]):
        one = layout(rows, [3] * len(rows), [[1] * rng.randrange(1, 20) for _ in rows])
        with OnMetaAlone() as watch, torch.no_grad():
            style = model.score(reader.forward(one)).softmax(-1)
        assert style.shape == (len(one.ids), 2)
        assert watch.moved <= 3 + 5 * len(one.alike), "something is moved for every layer anew"
