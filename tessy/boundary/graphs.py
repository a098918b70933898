"""A token classifier in passes of a few fixed shapes, each recorded once as a CUDA graph and then replayed.

A boundary predictor's pass is small: 96 traces with 8 new tokens each are one TFLOP for 0.6B parameters, a
few milliseconds, and launching some two thousand kernels from Python takes twenty times as long. Here the
feeds are cut into blocks of `BLOCK` ids, passes are padded to one of a few numbers of blocks, and everything
that differs between passes (ids, rows, positions) is one small tensor that is copied to the device before the
recorded pass is replayed. The cache is as in `tessy.engines.slots`: a row per trace, written over to go back.

The decoder is written out for Qwen2 and Qwen3 with their weights joined where they share an input, because
fewer kernels are what this is about. Without CUDA the same pass runs step by step, for tests.

Not covered: other architectures (`SlotReader` runs whatever transformers does), several devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tessy.errors import UserError

BLOCK = 16
"""Ids in a block: about what a trace brings to a pass. Attention reads a row's keys once for every block."""
SIZES = (8, 16, 32, 64, 96, 128, 192, 256)
"""Blocks in a pass; more are several passes, one behind the other."""
FAMILIES = ("qwen2", "qwen3")
BACKENDS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class _Layer:
    """One decoder layer's weights, joined where they share an input."""

    def __init__(self, layer: Any, heads: tuple[int, int]) -> None:
        own, mlp = layer.self_attn, layer.mlp
        projections = (own.q_proj, own.k_proj, own.v_proj)
        self.qkv = torch.cat([p.weight for p in projections])
        self.qkv_bias = None if own.q_proj.bias is None else torch.cat([p.bias for p in projections])
        self.out, self.out_bias = own.o_proj.weight.T, own.o_proj.bias
        self.head_norms: Tensor | None = None
        if hasattr(own, "q_norm"):
            norms = zip((own.q_norm, own.k_norm), heads, strict=True)
            self.head_norms = torch.cat([norm.weight.expand(count, -1) for norm, count in norms])
        self.gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        self.down, self.activation = mlp.down_proj.weight.T, mlp.act_fn
        self.before, self.between = layer.input_layernorm.weight, layer.post_attention_layernorm.weight


class StaticClassifier:
    """`model` (a Qwen2 or Qwen3 token classifier) over `slots` rows of `length` ids, with static shapes."""

    @torch.no_grad()
    def __init__(self, model: Any, slots: int, length: int) -> None:
        config = model.config
        if config.model_type not in FAMILIES or set(config.layer_types) != {"full_attention"}:
            raise UserError(
                f"predictor {model.name_or_path}: {config.model_type} cannot run on a GPU in the run's own "
                f"processes, which know {', '.join(FAMILIES)} with full attention; use `kind: server`"
            )
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.eps, self.device, self.scratch = config.rms_norm_eps, model.device, slots
        decoder = model.model
        self._embed, self._norm = decoder.embed_tokens.weight, decoder.norm.weight
        self._score = [None if one is None else one.float() for one in (model.score.weight, model.score.bias)]
        self._layers = [_Layer(layer, (self.heads, self.kv_heads)) for layer in decoder.layers]
        # Kernels of attention under a mask want keys in multiples of 8; idle ids write to the row `scratch`.
        self.width = -(-length // 16) * 16
        shape = (len(self._layers), 2, slots + 1, self.width, self.kv_heads, self.head_dim)
        self._cache = torch.zeros(shape, dtype=model.dtype, device=self.device)
        self._cos, self._sin = self._angles(decoder, model.dtype)

    def _angles(self, decoder: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Rotary factors (positions, 1, head dim), the sine's first half negated for `_rotate`."""
        positions = torch.arange(self.width, device=self.device)[None]
        cos, sin = decoder.rotary_emb(torch.zeros(1, dtype=dtype, device=self.device), positions)
        half = self.head_dim // 2
        return cos[0, :, None], torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1)[:, None]

    def __call__(self, ids: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
        """The probability of style behind each of `ids`, all (blocks * BLOCK,); a block has one row, and its
        first id is one of that row's. Idle ids are in the row `scratch`."""
        blocks = rows.view(-1, BLOCK)[:, 0]
        where = rows * self.width + positions
        seen = torch.arange(self.width, device=self.device) <= positions[:, None]
        hidden = self._embed[ids]
        groups = self.heads // self.kv_heads
        mask = torch.zeros(seen.shape, dtype=hidden.dtype, device=self.device).masked_fill(~seen, -torch.inf)
        mask = mask.view(-1, 1, BLOCK, 1, self.width).expand(-1, -1, -1, groups, -1).flatten(2, 3)
        cos, sin = self._cos[positions], self._sin[positions]
        for layer, cache in zip(self._layers, self._cache, strict=True):
            hidden = self._layer(layer, cache, hidden, where, blocks, mask, cos, sin)
        hidden = F.rms_norm(hidden, hidden.shape[-1:], self._norm, self.eps)
        weight, bias = self._score
        assert weight is not None
        return F.linear(hidden.float(), weight, bias).softmax(-1)[:, 1]

    def _layer(
        self,
        layer: _Layer,
        cache: Tensor,
        hidden: Tensor,
        where: Tensor,
        blocks: Tensor,
        mask: Tensor,
        cos: Tensor,
        sin: Tensor,
    ) -> Tensor:
        x = F.rms_norm(hidden, hidden.shape[-1:], layer.before, self.eps)
        qkv = F.linear(x, layer.qkv, layer.qkv_bias).view(len(x), -1, self.head_dim)
        qk, v = qkv.split((self.heads + self.kv_heads, self.kv_heads), 1)
        if layer.head_norms is not None:
            qk = F.rms_norm(qk, qk.shape[-1:], None, self.eps) * layer.head_norms
        qk = torch.addcmul(qk * cos, qk.roll(self.head_dim // 2, -1), sin)
        q, k = qk.split((self.heads, self.kv_heads), 1)
        for part, new in zip(cache, (k, v), strict=True):
            part.view(-1, self.kv_heads, self.head_dim)[where] = new
        hidden = torch.addmm(hidden, self._attend(q, cache, blocks, mask), layer.out)
        if layer.out_bias is not None:
            hidden = hidden + layer.out_bias
        x = F.rms_norm(hidden, hidden.shape[-1:], layer.between, self.eps)
        gate, up = F.linear(x, layer.gate_up).chunk(2, -1)
        return torch.addmm(hidden, layer.activation(gate) * up, layer.down)

    def _attend(self, q: Tensor, cache: Tensor, blocks: Tensor, mask: Tensor) -> Tensor:
        """(ids, heads, dim) of queries to (ids, heads * dim); the heads that share keys stand behind one
        another as queries."""
        shape = (len(blocks), BLOCK, self.kv_heads, -1, self.head_dim)
        queries = q.view(shape).transpose(1, 2).flatten(2, 3)
        keys, values = (part[blocks].transpose(1, 2) for part in cache)
        out = F.scaled_dot_product_attention(queries, keys, values, mask)
        return out.unflatten(2, (BLOCK, -1)).transpose(1, 2).reshape(len(q), -1)


@dataclass(frozen=True, slots=True)
class _Flight:
    """Passes on their way to `styles`; the feeds, of these `lengths`, have their ids at `places` in them."""

    styles: Sequence[Tensor]
    places: np.ndarray
    lengths: Sequence[int]
    done: torch.cuda.Event | None

    def ready(self) -> bool:
        return self.done is None or self.done.query()

    def land(self) -> list[list[float]]:
        if self.done is not None:
            self.done.synchronize()
        every = torch.cat(list(self.styles)).numpy()[self.places].tolist()
        ends = [0, *np.cumsum(self.lengths).tolist()]
        return [every[a:b] for a, b in pairwise(ends)]


class GraphReader:
    """`tessy.boundary.reading.Reader` in recorded passes; all are recorded when it is made."""

    def __init__(self, model: Any, slots: int, window_tokens: int) -> None:
        self._static = StaticClassifier(model, slots, window_tokens)
        self._on_gpu = self._static.device.type == "cuda"
        self._inputs = torch.zeros((3, SIZES[-1] * BLOCK), dtype=torch.long, device=self._static.device)
        self._inputs[1] = self._static.scratch
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        if self._on_gpu:
            torch.cuda.set_device(self._static.device)
            self._record()

    def launch(self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]) -> _Flight:
        """Start a pass over `feeds` and do not wait for it."""
        lengths = np.array([len(feed) for feed in feeds])
        packed, places = self._packed(rows, starts, feeds, lengths)
        step = SIZES[-1] * BLOCK
        styles = [self._pass(packed[:, at : at + step]) for at in range(0, packed.shape[1], step)]
        done = torch.cuda.Event() if self._on_gpu else None
        if done is not None:
            done.record()
        return _Flight(styles, places, lengths.tolist(), done)

    def _packed(
        self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]], lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids, rows and positions of whole blocks (3, ids), and where among them the feeds' ids stand."""
        padded = -(-lengths // BLOCK) * BLOCK
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = within + np.repeat(np.cumsum(padded) - padded, lengths)
        packed = np.zeros((3, _size(int(padded.sum()) // BLOCK) * BLOCK), dtype=np.int64)
        packed[1] = self._static.scratch
        packed[0, places] = np.concatenate([np.asarray(feed) for feed in feeds])
        packed[1, places] = np.repeat(np.asarray(rows), lengths)
        packed[2, places] = within + np.repeat(np.asarray(starts), lengths)
        return packed, places

    @torch.inference_mode()
    def _pass(self, packed: np.ndarray) -> Tensor:
        """One pass over at most the largest number of blocks; the result arrives later."""
        given = torch.from_numpy(np.ascontiguousarray(packed))
        if not self._on_gpu:
            return self._static(*given)
        inputs = self._inputs[:, : given.shape[1]]
        inputs.copy_(given.pin_memory(), non_blocking=True)
        graph, style = self._graphs[given.shape[1] // BLOCK]
        graph.replay()
        out = torch.empty(style.shape, pin_memory=True)
        return out.copy_(style, non_blocking=True)

    @torch.inference_mode()
    def _record(self) -> None:
        """Every size once for real, so that libraries have made up their minds, and once as a graph."""
        pool = torch.cuda.graph_pool_handle()
        for size in reversed(SIZES):
            inputs = self._inputs[:, : size * BLOCK]
            with sdpa_kernel(BACKENDS):
                aside = torch.cuda.Stream()
                aside.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(aside):
                    self._static(*inputs)
                torch.cuda.current_stream().wait_stream(aside)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool):
                    style = self._static(*inputs)
            self._graphs[size] = graph, style


def _size(blocks: int) -> int:
    """The blocks of the passes that hold `blocks`: full ones, and the smallest for the rest."""
    full, rest = divmod(blocks, SIZES[-1])
    return full * SIZES[-1] + next((size for size in SIZES if size >= rest), 0) * (rest > 0)
