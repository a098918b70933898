"""The small steps of a decoder layer as Triton kernels, for passes of few tokens over many cache rows.

`tessy.boundary.graphs` spends most of a pass not on matrix products but on what lies between them: a dozen
element-wise kernels in each layer, and attention whose tiles of 128 queries a row with 8 new tokens fills to
a sixteenth. Here each of four steps is one kernel, with all rounding at its end; attention takes the heads
that share keys together, so that 8 new tokens and two heads are 16 rows of a tile.

Needs a GPU and Triton (in interpreted mode, for tests, neither GPU nor speed). Head dimensions are powers of
two. Not covered: choosing tile sizes for other GPUs than Hopper.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

QUERIES, KEYS = 16, 64
"""New tokens and keys of a tile."""


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`x` (tokens, size) over its root mean square, times `weight` (size)."""
    out = torch.empty_like(x)
    size = x.shape[1]
    _rms_norm[(len(x),)](x, weight, out, size, eps, BLOCK=triton.next_power_of_2(size), num_warps=4)
    return out


def heads_into_cache(
    qkv: Tensor, norms: Tensor | None, cos: Tensor, sin: Tensor, flat: Tensor, cache: Tensor, eps: float
) -> Tensor:
    """Queries (tokens, heads, dim) from `qkv` (tokens, heads + 2 kv heads, dim): normalised with `norms`
    (heads + kv heads, dim) if given, turned by `cos` and `sin` (tokens, 1, dim; the sine's first half
    negated). Keys, treated alike, and values go to positions `flat` of `cache` (2, positions, kv heads, dim).
    """
    tokens, every, dim = qkv.shape
    kv_heads = cache.shape[2]
    heads = every - 2 * kv_heads
    q = qkv.new_empty((tokens, heads, dim))
    _heads_into_cache[(tokens, every)](
        *(qkv, qkv if norms is None else norms, cos, sin, flat, q, cache[0], cache[1]),
        *(heads, kv_heads, eps),
        DIM=dim,
        NORMED=norms is not None,
        num_warps=1,
    )
    return q


def attend(q: Tensor, keys: Tensor, values: Tensor, firsts: Tensor, held: Tensor, width: int) -> Tensor:
    """What `q` (tokens, heads, dim) attends to, of the same shape: row r's tokens are `firsts[r]` to
    `firsts[r + 1]`, the last ones of the `held[r]` positions that `keys` and `values` (rows * `width`,
    kv heads, dim) hold of it. Tokens of rows beyond `held` are left undefined."""
    tokens, heads, dim = q.shape
    kv_heads = keys.shape[1]
    together = heads // kv_heads
    out = torch.empty_like(q)
    tile = max(16, triton.next_power_of_2(QUERIES * together))
    _attend[(triton.cdiv(min(width, tokens), QUERIES), len(held), kv_heads)](
        *(q, keys, values, out, firsts, held, width, dim**-0.5),
        HEADS=heads,
        KV_HEADS=kv_heads,
        TOGETHER=together,
        DIM=dim,
        QUERIES=QUERIES,
        ROWS=tile,
        KEYS=KEYS,
        num_warps=4,
    )
    return out


def silu_times(gate_up: Tensor) -> Tensor:
    """silu(gate) * up of (tokens, 2 * size)."""
    tokens, both = gate_up.shape
    size = both // 2
    out = gate_up.new_empty((tokens, size))
    _silu_times[(tokens, triton.cdiv(size, 1024))](gate_up, out, size, BLOCK=1024, num_warps=4)
    return out


@triton.jit
def _rms_norm(x, weight, out, size, eps, BLOCK: tl.constexpr) -> Any:  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < size
    value = tl.load(x + row * size + at, inside, 0.0).to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(value * value, 0) / size + eps)
    value = value * scale * tl.load(weight + at, inside, 0.0).to(tl.float32)
    tl.store(out + row * size + at, value.to(out.dtype.element_ty), inside)


@triton.jit
def _heads_into_cache(  # type: ignore[no-untyped-def]
    qkv, norms, cos, sin, flat, q, keys, values, heads, kv_heads, eps, DIM: tl.constexpr, NORMED: tl.constexpr
) -> Any:
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    at = tl.arange(0, DIM)
    turned = (at + DIM // 2) % DIM
    source = qkv + (token * (heads + 2 * kv_heads) + head) * DIM
    value = tl.load(source + at).to(tl.float32)
    if head < heads + kv_heads:
        partner = tl.load(source + turned).to(tl.float32)
        if NORMED:
            scale = 1 / tl.sqrt(tl.sum(value * value, 0) / DIM + eps)
            value = value * scale * tl.load(norms + head * DIM + at).to(tl.float32)
            partner = partner * scale * tl.load(norms + head * DIM + turned).to(tl.float32)
        value = value * tl.load(cos + token * DIM + at).to(tl.float32)
        value += partner * tl.load(sin + token * DIM + at).to(tl.float32)
    place = tl.load(flat + token)
    if head < heads:
        tl.store(q + (token * heads + head) * DIM + at, value.to(q.dtype.element_ty))
    elif head < heads + kv_heads:
        tl.store(keys + (place * kv_heads + head - heads) * DIM + at, value.to(keys.dtype.element_ty))
    else:
        into = (place * kv_heads + head - heads - kv_heads) * DIM
        tl.store(values + into + at, value.to(values.dtype.element_ty))


@triton.jit
def _attend(  # type: ignore[no-untyped-def]
    q,
    keys,
    values,
    out,
    firsts,
    held,
    width,
    scale,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    TOGETHER: tl.constexpr,
    DIM: tl.constexpr,
    QUERIES: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
) -> Any:
    row, kv_head = tl.program_id(1), tl.program_id(2)
    first, end = tl.load(firsts + row), tl.load(firsts + row + 1)
    begin = first + tl.program_id(0) * QUERIES
    if begin >= end:
        return
    # A tile's rows are (token, head that shares these keys).
    inside = tl.arange(0, ROWS)
    token, head = begin + inside // TOGETHER, kv_head * TOGETHER + inside % TOGETHER
    real = (inside < QUERIES * TOGETHER) & (token < end)
    dims = tl.arange(0, DIM)
    places = (token.to(tl.int64) * HEADS + head)[:, None] * DIM + dims[None]
    query = tl.load(q + places, real[:, None], 0.0)
    # Token `end - 1` stands at the last position that the row holds.
    position = token - end + tl.load(held + row)
    last = tl.minimum(begin + QUERIES, end) - end + tl.load(held + row)
    best = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    mixed = tl.zeros((ROWS, DIM), tl.float32)
    base = row.to(tl.int64) * width
    for start in range(0, last, KEYS):
        key = start + tl.arange(0, KEYS)
        there = ((base + key) * KV_HEADS + kv_head)[:, None] * DIM + dims[None]
        seen = key < last
        k = tl.load(keys + there, seen[:, None], 0.0)
        v = tl.load(values + there, seen[:, None], 0.0)
        score = tl.dot(query, tl.trans(k), input_precision="ieee") * scale
        score = tl.where((key[None] <= position[:, None]) & seen[None], score, float("-inf"))
        top = tl.maximum(best, tl.max(score, 1))
        weight = tl.exp(score - top[:, None])
        shrink = tl.exp(best - top)
        total = total * shrink + tl.sum(weight, 1)
        mixed = mixed * shrink[:, None] + tl.dot(weight.to(v.dtype), v, input_precision="ieee")
        best = top
    tl.store(out + places, (mixed / total[:, None]).to(out.dtype.element_ty), real[:, None])


@triton.jit
def _silu_times(gate_up, out, size, BLOCK: tl.constexpr) -> Any:  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    gate = tl.load(gate_up + row * 2 * size + at, inside, 0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * size + size + at, inside, 0.0).to(tl.float32)
    tl.store(out + row * size + at, (gate / (1 + tl.exp(-gate)) * up).to(out.dtype.element_ty), inside)
