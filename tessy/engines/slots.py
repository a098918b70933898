"""A transformers decoder over a pooled KV cache: many texts, each with a row of its own, read bit by bit.

One pass takes in any number of new ids for any of the rows. They are packed, so that a pass costs what
its ids cost, however unlike the rows' shares are; only attention pads, among rows of like lengths. What a
row holds is known to its user, who goes back simply by writing over it. The embedded engine and the
boundary predictors are both built on this.

In double precision (the default of both) a logit does not depend on which rows happened to share a pass,
to far below any threshold. Not covered: models too large for one device; they are served by vLLM.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, Cache


@dataclass(frozen=True, slots=True)
class _Alike:
    """Rows whose feeds are of like lengths, for attention.

    `tokens` (rows, longest feed) says which packed id stands where, `inside` where one does. `rows` are
    read up to `width` positions, as far as `mask` (rows, 1, longest feed, width) lets each id see.
    """

    rows: slice | torch.Tensor
    tokens: torch.Tensor
    inside: torch.Tensor
    mask: torch.Tensor
    width: int


class SlotCache(Cache):
    """Keys and values of all slots, shape per layer (slots, kv heads, positions, head dim).

    `rows` and `positions` say where the packed ids of the running forward pass belong.
    """

    def __init__(
        self, layers: int, slots: int, heads: int, length: int, dim: int, dtype: torch.dtype
    ) -> None:
        super().__init__(layers=[])
        shape = (layers, slots, heads, length, dim)
        self.keys, self.values = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
        self.rows = self.positions = torch.zeros(0, dtype=torch.long)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (1, heads, ids, dim) and return the layer's keys and values, whole."""
        where = (self.rows, slice(None), self.positions)
        self.keys[layer_idx][where] = key_states[0].transpose(0, 1)
        self.values[layer_idx][where] = value_states[0].transpose(0, 1)
        return self.keys[layer_idx], self.values[layer_idx]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


def _attend(
    module: Any,
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    attention_mask: None,
    *,
    alike: Sequence[_Alike],
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed queries (1, heads, ids, dim) to the rows they belong to, by transformers' rules
    for attention functions: (1, ids, heads, dim), and no weights."""
    packed = query[0].transpose(0, 1)
    out = torch.empty_like(packed)
    for group in alike:
        seen = scaled_dot_product_attention(
            packed[group.tokens].transpose(1, 2),
            keys[group.rows, :, : group.width],
            values[group.rows, :, : group.width],
            attn_mask=group.mask,
            scale=scaling,
            enable_gqa=query.shape[1] != keys.shape[1],
        )
        out[group.tokens[group.inside]] = seen.transpose(1, 2)[group.inside]
    return out[None], None


AttentionInterface.register("packed_slots", _attend)


class SlotModel:
    """`model`, whose decoder is `model.model`, reading `slots` texts of up to `length` ids."""

    def __init__(self, model: Any, slots: int, length: int) -> None:
        config = model.config
        self._decoder = model.model
        model.set_attn_implementation("packed_slots")
        # Who sees what is decided here; the decoder must not make masks of its own.
        self._masks = dict.fromkeys(config.layer_types)
        self._cache = SlotCache(
            config.num_hidden_layers, slots, config.num_key_value_heads, length, config.head_dim, model.dtype
        )

    @torch.inference_mode()
    def read(
        self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        """Take `feeds[i]` in at position `starts[i]` of row `rows[i]`; rows must differ.

        Returns hidden states, shape (ids of all feeds, dim), feed after feed.
        """
        lengths = torch.tensor([len(feed) for feed in feeds])
        firsts = lengths.cumsum(0) - lengths
        begins = torch.tensor(starts)
        packed = torch.arange(int(lengths.sum()))
        positions = packed + (begins - firsts).repeat_interleave(lengths)
        self._cache.rows = torch.tensor(rows).repeat_interleave(lengths)
        self._cache.positions = positions
        out = self._decoder(
            input_ids=torch.tensor([[token for feed in feeds for token in feed]]),
            attention_mask=self._masks,
            position_ids=positions[None],
            past_key_values=self._cache,
            use_cache=True,
            alike=_groups(torch.tensor(rows), begins, firsts, lengths),
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden


def _groups(
    rows: torch.Tensor, begins: torch.Tensor, firsts: torch.Tensor, lengths: torch.Tensor
) -> list[_Alike]:
    """The feeds in groups of like lengths: a block is as wide as its longest row."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths.tolist()):
        by_size[max(3, length.bit_length())].append(index)
    return [_alike(rows[own], begins[own], firsts[own], lengths[own]) for own in by_size.values()]


def _alike(rows: torch.Tensor, begins: torch.Tensor, firsts: torch.Tensor, lengths: torch.Tensor) -> _Alike:
    used = int(rows.max()) + 1
    read: slice | torch.Tensor = rows
    if 2 * len(rows) > used:
        # Where most rows have work, the others come along idle, so that the cache is read in place: a
        # copy of what they hold costs more than the whole pass.
        read = slice(used)
        begins, firsts, lengths = (
            torch.zeros(used, dtype=torch.long).index_copy(0, rows, values)
            for values in (begins, firsts, lengths)
        )
    steps = torch.arange(int(lengths.max()))
    inside = steps < lengths[:, None]
    width = int((begins + lengths).max())
    mask = torch.arange(width) <= (begins[:, None] + steps)[:, :, None]
    return _Alike(read, (firsts[:, None] + steps) * inside, inside, mask[:, None], width)


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
