"""A token classifier in passes of a few fixed sizes, each recorded once as a CUDA graph and then replayed.

A boundary predictor's pass is small: 96 traces with 8 new tokens each are one TFLOP for 0.6B parameters, a
few milliseconds, and launching some two thousand kernels from Python takes ten times as long. Here ids are
packed and padded to one of a few `SIZES`, and everything that differs between passes (ids, rows, positions,
how much of its row each trace sees) is two small tensors that are copied to the device before the recorded
pass is replayed. The cache is as in `tessy.engines.kv_slots`: a row per trace, written over to go back, read
in place, each row as far as it is filled.

The decoder is written out for Qwen2 and Qwen3 with their weights joined where they share an input, because
fewer kernels are what this is about (`torch.compile` made passes slower). On a GPU what lies between matrix
products is `tessy.boundary.kernels`; elsewhere the same pass runs step by step, for tests.

Not covered: other architectures, and several devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tessy.errors import UserError

SIZES = (32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Ids in a pass; more are several passes, one behind the other."""
FAMILIES = ("qwen2", "qwen3")


class _Weights(NamedTuple):
    """One decoder layer's, joined where they share an input."""

    before: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    head_norms: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    between: Tensor
    gate_up: Tensor
    down: Tensor


def _weights(layer: Any, heads: tuple[int, int]) -> _Weights:
    own, mlp = layer.self_attn, layer.mlp
    projections = (own.q_proj, own.k_proj, own.v_proj)
    norms = None
    if hasattr(own, "q_norm"):
        counted = zip((own.q_norm, own.k_norm), heads, strict=True)
        norms = torch.cat([norm.weight.expand(count, -1) for norm, count in counted])
    return _Weights(
        layer.input_layernorm.weight,
        torch.cat([p.weight for p in projections]),
        None if own.q_proj.bias is None else torch.cat([p.bias for p in projections]),
        norms,
        own.o_proj.weight.T,
        own.o_proj.bias,
        layer.post_attention_layernorm.weight,
        torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
        mlp.down_proj.weight.T,
    )


class _Where(NamedTuple):
    """What a pass's packed ids see, the same in all layers.

    `flat` says where each belongs in the cache of (rows * width) positions, `cos` and `sin` how it is turned.
    For kernels `firsts` are where each row's ids begin among the packed ones and `held` how many positions of
    it are filled; elsewhere `rows` and `seen` (ids, width) say the same id by id.
    """

    flat: Tensor
    cos: Tensor
    sin: Tensor
    width: int
    firsts: Tensor
    held: Tensor
    rows: Tensor
    seen: Tensor | None


def _layer(
    w: _Weights, cache: Tensor, hidden: Tensor, at: _Where, heads: int, kv_heads: int, eps: float
) -> Tensor:
    """One decoder layer; `cache` (2, rows * width, kv heads, head dim) takes in the new keys and values."""
    head_dim = cache.shape[-1]
    x = F.rms_norm(hidden, hidden.shape[-1:], w.before, eps)
    qkv = F.linear(x, w.qkv, w.qkv_bias).view(len(x), -1, head_dim)
    qk, v = qkv.split((heads + kv_heads, kv_heads), 1)
    if w.head_norms is not None:
        qk = F.rms_norm(qk, (head_dim,), None, eps) * w.head_norms
    qk = torch.addcmul(qk * at.cos, qk.roll(head_dim // 2, -1), at.sin)
    q, k = qk.split((heads, kv_heads), 1)
    cache[0].index_copy_(0, at.flat, k)
    cache[1].index_copy_(0, at.flat, v)
    hidden = torch.addmm(hidden, _attend(q, cache, at).flatten(1), w.out)
    if w.out_bias is not None:
        hidden = hidden + w.out_bias
    x = F.rms_norm(hidden, hidden.shape[-1:], w.between, eps)
    gate, up = F.linear(x, w.gate_up).chunk(2, -1)
    return torch.addmm(hidden, F.silu(gate) * up, w.down)


def _attend(q: Tensor, cache: Tensor, at: _Where) -> Tensor:
    """(ids, heads, dim) of queries to what they attend to."""
    assert at.seen is not None
    keys, values = (part.unflatten(0, (-1, at.width))[at.rows].transpose(1, 2) for part in cache)
    mask = at.seen[:, None, None]
    return F.scaled_dot_product_attention(q[:, :, None], keys, values, mask, enable_gqa=True)[:, :, 0]


def _layer_in_kernels(w: _Weights, cache: Tensor, hidden: Tensor, at: _Where, eps: float) -> Tensor:
    """The same on a GPU."""
    from tessy.boundary import kernels

    x = kernels.rms_norm(hidden, w.before, eps)
    qkv = F.linear(x, w.qkv, w.qkv_bias).view(len(x), -1, cache.shape[-1])
    q = kernels.heads_into_cache(qkv, w.head_norms, at.cos, at.sin, at.flat, cache, eps)
    mixed = kernels.attend(q, cache[0], cache[1], at.firsts, at.held, at.width)
    hidden = torch.addmm(hidden, mixed.flatten(1), w.out)
    if w.out_bias is not None:
        hidden = hidden + w.out_bias
    x = kernels.rms_norm(hidden, w.between, eps)
    return torch.addmm(hidden, kernels.silu_times(F.linear(x, w.gate_up)), w.down)


class StaticClassifier:
    """`model` (a Qwen2 or Qwen3 token classifier) over `slots` rows of `length` ids, with static shapes."""

    @torch.no_grad()
    def __init__(self, model: Any, slots: int, length: int) -> None:
        config = model.config
        attends = set(config.layer_types) == {"full_attention"}
        if config.model_type not in FAMILIES or not attends or config.hidden_act != "silu":
            raise UserError(
                f"predictor {model.name_or_path}: {config.model_type} cannot run on a GPU in the run's own "
                f"processes, which know {', '.join(FAMILIES)} with full attention; use `kind: server`"
            )
        self._heads = config.num_attention_heads, config.num_key_value_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._eps, self.device, self.scratch = config.rms_norm_eps, model.device, slots
        decoder = model.model
        self._embed, self._norm = decoder.embed_tokens.weight, decoder.norm.weight
        self._score = (
            model.score.weight.float(),
            None if model.score.bias is None else model.score.bias.float(),
        )
        self._layers = [_weights(layer, self._heads) for layer in decoder.layers]
        # Idle ids are written to the row `scratch`.
        self.width = -(-length // 16) * 16
        shape = (len(self._layers), 2, (slots + 1) * self.width, self._heads[1], head_dim)
        self._cache = torch.zeros(shape, dtype=model.dtype, device=self.device)
        self._cos, self._sin = self._angles(decoder, model.dtype, head_dim)

    def _angles(self, decoder: Any, dtype: torch.dtype, head_dim: int) -> tuple[Tensor, Tensor]:
        """Rotary factors (positions, 1, head dim); the sine's first half is negated, for halves that trade
        places."""
        positions = torch.arange(self.width, device=self.device)[None]
        cos, sin = decoder.rotary_emb(torch.zeros(1, dtype=dtype, device=self.device), positions)
        half = head_dim // 2
        return cos[0, :, None], torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1)[:, None]

    def __call__(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """The probability of style behind each id. `tokens` (3, ids) are ids, rows and positions, sorted by
        row; `rows` (2, slots + 2) where each row's begin among them, with the end, and what each holds."""
        ids, own, positions = tokens
        on_gpu = ids.is_cuda
        seen = None if on_gpu else torch.arange(self.width, device=self.device) <= positions[:, None]
        turned = self._cos[positions], self._sin[positions]
        # Nobody needs what idle ids attend to: their row, the last one, is left out.
        at = _Where(own * self.width + positions, *turned, self.width, rows[0], rows[1, :-2], own, seen)
        hidden = self._embed[ids]
        for weights, cache in zip(self._layers, self._cache, strict=True):
            if on_gpu:
                hidden = _layer_in_kernels(weights, cache, hidden, at, self._eps)
            else:
                hidden = _layer(weights, cache, hidden, at, *self._heads, self._eps)
        hidden = F.rms_norm(hidden, hidden.shape[-1:], self._norm, self._eps)
        return F.linear(hidden.float(), *self._score).softmax(-1)[:, 1]


@dataclass(frozen=True, slots=True)
class _Flight:
    """Passes on their way: `styles` of each, and for each feed the pass and the places of its ids there."""

    styles: Sequence[Tensor]
    places: Sequence[tuple[int, int, int]]
    done: torch.cuda.Event | None

    def ready(self) -> bool:
        return self.done is None or self.done.query()

    def land(self) -> list[list[float]]:
        if self.done is not None:
            self.done.synchronize()
        every = [style.tolist() for style in self.styles]
        return [every[number][first:end] for number, first, end in self.places]


class GraphReader:
    """`tessy.boundary.reading.Reader` in recorded passes; all are recorded when it is made."""

    def __init__(self, model: Any, slots: int, window_tokens: int) -> None:
        self._static = StaticClassifier(model, slots, window_tokens)
        self._slots, device = slots, self._static.device
        self._on_gpu = device.type == "cuda"
        self._tokens = torch.zeros((3, SIZES[-1]), dtype=torch.long, device=device)
        self._rows = torch.zeros((2, slots + 2), dtype=torch.int32, device=device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        if self._on_gpu:
            torch.cuda.set_device(device)
            self._record()

    def launch(self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]) -> _Flight:
        """Start a pass over `feeds` and do not wait for it."""
        order = np.argsort(np.asarray(rows))
        lengths = np.array([len(feed) for feed in feeds])[order]
        # A feed is in one pass, whole; so that none is too long, the longest is left room for.
        room = SIZES[-1] - lengths.max()
        numbers = (np.cumsum(lengths) - lengths) // (room + 1)
        styles, places = list[Tensor](), [(0, 0, 0)] * len(feeds)
        for number in np.unique(numbers):
            chosen = order[numbers == number].tolist()
            style, ends = self._launch(
                [rows[i] for i in chosen], [starts[i] for i in chosen], [feeds[i] for i in chosen]
            )
            for feed, (first, end) in zip(chosen, pairwise([0, *ends]), strict=True):
                places[feed] = len(styles), first, end
            styles.append(style)
        done = torch.cuda.Event() if self._on_gpu else None
        if done is not None:
            done.record()
        return _Flight(styles, places, done)

    def _launch(
        self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]
    ) -> tuple[Tensor, list[int]]:
        """One pass over feeds sorted by row; what will be its result, and where each feed ends in it."""
        lengths = np.array([len(feed) for feed in feeds])
        ends, total = np.cumsum(lengths), int(lengths.sum())
        size = next(size for size in SIZES if size >= total)
        tokens = np.zeros((3, size), dtype=np.int64)
        tokens[1] = self._slots
        tokens[0, :total] = np.concatenate([np.asarray(feed) for feed in feeds])
        tokens[1, :total] = np.repeat(rows, lengths)
        tokens[2, :total] = np.arange(total) + np.repeat(np.asarray(starts) - ends + lengths, lengths)
        each = np.zeros((2, self._slots + 2), dtype=np.int32)
        counts = np.zeros(self._slots + 1, dtype=np.int32)
        counts[rows], counts[-1] = lengths, size - total
        each[0, 1:] = np.cumsum(counts)
        each[1, rows] = np.asarray(starts) + lengths
        return self._pass(torch.from_numpy(tokens), torch.from_numpy(each)), ends.tolist()

    @torch.inference_mode()
    def _pass(self, tokens: Tensor, rows: Tensor) -> Tensor:
        if not self._on_gpu:
            return self._static(tokens, rows)
        self._tokens[:, : tokens.shape[1]].copy_(tokens.pin_memory(), non_blocking=True)
        self._rows.copy_(rows.pin_memory(), non_blocking=True)
        graph, style = self._graphs[tokens.shape[1]]
        graph.replay()
        out = torch.empty(style.shape, pin_memory=True)
        return out.copy_(style, non_blocking=True)

    @torch.inference_mode()
    def _record(self) -> None:
        """Every size once for real, so that libraries have made up their minds, and once as a graph."""
        pool = torch.cuda.graph_pool_handle()
        self._tokens[1] = self._slots
        for size in reversed(SIZES):
            tokens = self._tokens[:, :size]
            self._rows[0, -1] = size
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._static(tokens, self._rows)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                style = self._static(tokens, self._rows)
            self._graphs[size] = graph, style
