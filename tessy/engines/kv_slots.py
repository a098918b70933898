"""A transformers decoder over a pooled KV cache: many texts, each in its own row, read incrementally.

One pass reads any number of new ids for any of the rows. They are packed, so that the cost of a pass depends
on the total number of ids; only attention pads, among rows of similar lengths. The caller knows what a
row holds, and rolls back by overwriting it. The transformers engine and the
boundary predictors are both built on this.

In double precision (the default of both) a logit does not depend on which rows happened to share a pass,
to far below any threshold.

The layout of a pass is computed on the CPU and sent to the model's device once per pass; only what the caller
reads of the hidden states comes back, so that a GPU never waits in between.

Not covered: models too large for one device; they are served by vLLM.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, Cache

from tessy.engines.heads import differs, probe_ids
from tessy.errors import UserError


@dataclass(frozen=True, slots=True)
class _Alike:
    """Rows whose feeds are of like lengths, for attention.

    `tokens` (rows, longest feed) says which packed id stands where; its `places`, counted through row after
    row, are where one does, namely the packed ids `own`. `rows` are read up to `width` positions, as far as
    `mask` (rows, 1, longest feed, width) lets each id see.
    """

    rows: slice | torch.Tensor
    tokens: torch.Tensor
    own: torch.Tensor
    places: torch.Tensor
    mask: torch.Tensor
    width: int

    def to(self, device: torch.device) -> _Alike:
        rows = self.rows if isinstance(self.rows, slice) else self.rows.to(device)
        tokens, own, places, mask = (t.to(device) for t in (self.tokens, self.own, self.places, self.mask))
        return _Alike(rows, tokens, own, places, mask, self.width)


@dataclass(frozen=True, slots=True)
class Layout:
    """One pass: packed `ids`, the `rows` and `positions` of the cache they belong at, and who sees what.

    The tensors are of shape (ids of all feeds,).
    """

    ids: torch.Tensor
    rows: torch.Tensor
    positions: torch.Tensor
    alike: Sequence[_Alike]

    def to(self, device: torch.device) -> Layout:
        ids, rows, positions = (t.to(device) for t in (self.ids, self.rows, self.positions))
        return Layout(ids, rows, positions, [group.to(device) for group in self.alike])


def layout(rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]) -> Layout:
    """The pass, on the CPU, that takes `feeds[i]` in at position `starts[i]` of row `rows[i]`."""
    lengths = torch.tensor([len(feed) for feed in feeds])
    firsts = lengths.cumsum(0) - lengths
    begins, read = torch.tensor(starts), torch.tensor(rows)
    packed = torch.arange(int(lengths.sum()))
    return Layout(
        torch.tensor([token for feed in feeds for token in feed]),
        read.repeat_interleave(lengths),
        packed + (begins - firsts).repeat_interleave(lengths),
        _groups(read, begins, firsts, lengths),
    )


class SlotCache(Cache):
    """Keys and values of all slots, `shape` (layers, slots, kv heads, positions, head dim).

    `rows` and `positions` say where the packed ids of the running forward pass belong.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(layers=[])
        self.keys, self.values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.rows = self.positions = torch.zeros(0, dtype=torch.long, device=device)

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
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed queries (1, heads, ids, dim) to the rows they belong to, by transformers' rules
    for attention functions: (1, ids, heads, dim), and no weights. Raises `ValueError` for attention that is
    capped or has sinks."""
    if softcap is not None or s_aux is not None:
        raise ValueError("its attention is capped or has sinks")
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
        out[group.own] = seen.transpose(1, 2).flatten(0, 1)[group.places]
    return out[None], None


AttentionInterface.register("packed_slots", _attend)


class SlotModel:
    """`model`, a decoder with or without a head, reading `slots` texts of up to `length` ids.

    Raises `UserError` for models whose layers attend otherwise than to all that came before (a window as long
    as the texts is no difference), or compute anything else than the model does by itself: that is tried.
    """

    def __init__(self, model: Any, slots: int, length: int) -> None:
        config = model.config.get_text_config()
        # Older configurations have one window for all layers.
        layers = set(getattr(config, "layer_types", None) or ["sliding_attention"])
        window = getattr(config, "sliding_window", None) if "sliding_attention" in layers else None
        if layers - {"full_attention", "sliding_attention"} or (window or length) < length:
            raise _unsuitable(model, f"layers of type {', '.join(sorted(layers))}, a window of {window}")
        self._decoder, self._device = model.base_model, model.device
        ids = probe_ids(model)
        with torch.inference_mode():
            wanted = self._decoder(ids).last_hidden_state[0]
        # A way of attending that has no masks of its own: the decoder makes none, either.
        model.set_attn_implementation("packed_slots")
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        shape = (config.num_hidden_layers, slots, kv_heads, length, head_dim)
        self._cache = SlotCache(shape, model.dtype, model.device)
        if not ids.is_meta:
            self._check(model, ids[0, :length].tolist(), wanted)

    def _check(self, model: Any, ids: list[int], wanted: torch.Tensor) -> None:
        """Read a text in two passes, and compare with how the model read it."""
        half = len(ids) // 2
        try:
            read = [self.read([0], [0], [ids[:half]])] * (half > 0) + [self.read([0], [half], [ids[half:]])]
        except (RuntimeError, TypeError, ValueError) as error:
            raise _unsuitable(model, f"another attention: {error}") from error
        if off := differs(torch.cat(read), wanted[: len(ids)]):
            raise _unsuitable(model, f"a text read in pieces differs by {off:.0%}")

    @torch.inference_mode()
    def read(
        self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        """Take `feeds[i]` in at position `starts[i]` of row `rows[i]`; rows must differ.

        Returns hidden states on the model's device, shape (ids of all feeds, dim), feed after feed.
        """
        return self.forward(layout(rows, starts, feeds))

    def forward(self, cpu: Layout) -> torch.Tensor:
        """`read` with a precomputed `layout`; the caller has to disable gradients."""
        there = cpu.to(self._device)
        self._cache.rows, self._cache.positions = there.rows, there.positions
        out = self._decoder(
            input_ids=there.ids[None],
            position_ids=there.positions[None],
            past_key_values=self._cache,
            use_cache=True,
            alike=there.alike,
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden


def _unsuitable(model: Any, reason: str) -> UserError:
    return UserError(
        f"model {model.name_or_path}: {model.config.model_type} cannot run in this process, which knows "
        f"decoders that attend to all that came before, such as Qwen3 and Llama ({reason}); use vLLM: kind "
        "'server'"
    )


def _groups(
    rows: torch.Tensor, begins: torch.Tensor, firsts: torch.Tensor, lengths: torch.Tensor
) -> list[_Alike]:
    """The feeds in groups of like lengths, as a block is as wide as its longest row: those of one id, which
    are most, by themselves."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths.tolist()):
        by_size[1 if length == 1 else max(3, length.bit_length())].append(index)
    return [_alike(rows[own], begins[own], firsts[own], lengths[own]) for own in by_size.values()]


def _alike(rows: torch.Tensor, begins: torch.Tensor, firsts: torch.Tensor, lengths: torch.Tensor) -> _Alike:
    used = int(rows.max()) + 1
    read: slice | torch.Tensor = rows
    if 2 * len(rows) > used:
        # Where most rows have new ids, idle rows are included, so that the cache is read in place: a
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
    tokens = (firsts[:, None] + steps) * inside
    places = inside.flatten().nonzero()[:, 0]
    return _Alike(read, tokens, tokens.flatten()[places], places, mask[:, None], width)


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
