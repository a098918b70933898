"""A transformers decoder over a pooled KV cache: many texts, each with a row of its own, read bit by bit.

One pass takes in any number of new ids for any of the rows. What a row holds is known to its user, who
goes back simply by writing over it. The embedded engine and the boundary predictors are both built on
this.

In double precision (the default of both) a logit does not depend on which rows happened to share a pass,
to far below any threshold. Not covered: models too large for one device; they are served by vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache


class SlotCache(Cache):
    """Keys and values of all slots, shape per layer (slots, kv heads, positions, head dim).

    `rows` and `positions` say where the ids of the running forward pass belong; `width` bounds the
    positions that attention needs to read. Rows that are a plain range are read in place: a copy of
    what they hold costs more than the whole pass.
    """

    def __init__(
        self, layers: int, slots: int, heads: int, length: int, dim: int, dtype: torch.dtype
    ) -> None:
        super().__init__(layers=[])
        shape = (layers, slots, heads, length, dim)
        self.keys, self.values = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
        self.rows: slice | torch.Tensor = slice(0)
        self.positions = torch.zeros(0, 0, dtype=torch.long)
        self.width = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (batch, heads, new, dim) and return (batch, heads, width, dim) for attention."""
        numbers = torch.arange(self.rows.stop) if isinstance(self.rows, slice) else self.rows
        where = (numbers[:, None], slice(None), self.positions)
        self.keys[layer_idx][where] = key_states.transpose(1, 2)
        self.values[layer_idx][where] = value_states.transpose(1, 2)
        read = (self.rows, slice(None), slice(self.width))
        return self.keys[layer_idx][read], self.values[layer_idx][read]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


class SlotModel:
    """`model`, whose decoder is `model.model`, reading `slots` texts of up to `length` ids."""

    def __init__(self, model: Any, slots: int, length: int) -> None:
        config = model.config
        self._decoder, self._length = model.model, length
        self._attention = set(config.layer_types)
        # One row's padding must not land in another's positions: it all goes to one position more.
        self._cache = SlotCache(
            config.num_hidden_layers,
            slots,
            config.num_key_value_heads,
            length + 1,
            config.head_dim,
            model.dtype,
        )

    @torch.inference_mode()
    def read(
        self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        """Take `feeds[i]` in at position `starts[i]` of row `rows[i]`.

        Returns hidden states, shape (rows, longest feed, dim). Rows must differ. What lies beyond a
        row's feed in the result is padding.
        """
        used = max(rows) + 1
        # Where most rows have work, the others come along idle, so that the cache is read in place.
        dense = 2 * len(rows) > used
        cache, places = self._cache, list(rows) if dense else list(range(len(rows)))
        cache.rows = slice(used) if dense else torch.tensor(rows)
        batch = used if dense else len(rows)
        lengths, begins = torch.zeros(batch, dtype=torch.long), torch.zeros(batch, dtype=torch.long)
        lengths[places] = torch.tensor([len(feed) for feed in feeds])
        begins[places] = torch.tensor(starts)
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        ids = torch.zeros(inside.shape, dtype=torch.long)
        in_order = sorted(zip(places, feeds, strict=True), key=lambda pair: pair[0])
        ids[inside] = torch.tensor([token for _, feed in in_order for token in feed])
        positions = begins[:, None] + steps
        cache.positions = torch.where(inside, positions, self._length)
        cache.width = int((begins + lengths).max())
        mask = (torch.arange(cache.width) <= positions[:, :, None])[:, None]
        out = self._decoder(
            input_ids=ids,
            attention_mask=dict.fromkeys(self._attention, mask),
            position_ids=positions.clamp(max=self._length - 1),
            past_key_values=cache,
            use_cache=True,
        )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden[places]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of what `a` and `b` begin with alike; by halving, because slices are compared in C."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
