"""A transformers model inside this process, with continuous batching over a slotted KV cache.

Each live sample owns one row of a pooled cache. A request is compared with what its row holds: the
common prefix stays, the rest (a rollback) is forgotten, and only new ids are fed. Every tick advances
all waiting requests in one ragged forward pass: one token each for those that are writing, several
for those that first take in what the other model wrote.

The model runs in double precision by default: a logit then does not depend on which samples happened
to share a batch (to far below any sampling threshold), so runs can be killed, resumed and regrouped
without changing a token. Not covered: models too large for that; they are served by vLLM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Cache

from tessy.engines import Continuation, EngineFault, FinishReason, Request, SamplingParams, uniform
from tessy.errors import UserError

FEED_TOKENS = 64
"""Ids a sample may feed per tick: bounds the padding that one long prompt costs its batch."""


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


@dataclass
class _Slot:
    """One live sample: `ids` is its text, of which the first `cached` are in row `row`."""

    row: int
    ids: list[int] = field(default_factory=list)
    cached: int = 0


@dataclass
class _Job:
    request: Request
    slot: _Slot
    continuation: Continuation
    live: bool = True


class EmbeddedEngine:
    """Runs the checkpoint at `source` for up to `slots` live samples of at most `max_length` ids."""

    def __init__(
        self,
        source: str,
        sampling: SamplingParams,
        *,
        slots: int,
        max_length: int,
        revision: str | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(source, revision=revision, dtype=dtype).eval()
        config = self.model.config
        if max_length > config.max_position_embeddings:
            raise UserError(
                f"model {source}: {max_length} tokens wanted, its context holds "
                f"{config.max_position_embeddings}; "
                "lower max_tokens or choose another model"
            )
        self.sampling = sampling
        self.max_length = max_length
        # One row and one position beyond the samples' own take the padding of ragged batches.
        self._cache = SlotCache(
            config.num_hidden_layers,
            slots,
            config.num_key_value_heads,
            max_length + 1,
            config.head_dim,
            dtype,
        )
        self._free = list(range(slots))[::-1]
        self._slots: dict[str, _Slot] = {}
        self._jobs: list[_Job] = []
        self._ticking: asyncio.Task[None] | None = None

    def open(self, request: Request) -> Continuation:
        if len(request.token_ids) >= self.max_length or request.max_tokens < 1:
            done = Continuation()
            done.push([], "length")
            return done
        job = _Job(request, self._slot_for(request), Continuation(lambda: _leave(job)))
        self._jobs.append(job)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._run())
        return job.continuation

    def release(self, sample_id: str) -> None:
        slot = self._slots.pop(sample_id, None)
        if slot is not None:
            self._free.append(slot.row)

    def _slot_for(self, request: Request) -> _Slot:
        slot = self._slots.get(request.sample_id)
        if slot is None:
            if not self._free:
                raise RuntimeError("more live samples than slots: the scheduler admitted too many")
            slot = self._slots[request.sample_id] = _Slot(self._free.pop())
        slot.cached = min(slot.cached, common_prefix(slot.ids, request.token_ids), len(request.token_ids) - 1)
        slot.ids = list(request.token_ids)
        return slot

    async def close(self) -> None:
        """Nothing runs when nothing is open."""

    async def _run(self) -> None:
        while True:
            # Whoever can ask now does, so that one pass serves them all.
            await asyncio.sleep(0)
            self._jobs = [job for job in self._jobs if job.live]
            if not self._jobs:
                return
            try:
                self._tick()
            except Exception as error:
                failed, self._jobs = self._jobs, []
                for job in failed:
                    job.continuation.fail(EngineFault("embedded engine", repr(error)))
                raise

    @torch.inference_mode()
    def _tick(self) -> None:
        jobs = self._jobs
        feeds = [job.slot.ids[job.slot.cached : job.slot.cached + FEED_TOKENS] for job in jobs]
        logits = self._forward([job.slot for job in jobs], feeds)
        for job, feed in zip(jobs, feeds, strict=True):
            job.slot.cached += len(feed)
        writing = [index for index, job in enumerate(jobs) if job.slot.cached == len(job.slot.ids)]
        draws = [uniform(jobs[i].request.randomness, len(jobs[i].slot.ids)) for i in writing]
        for index, token in zip(writing, draw(logits[writing], draws, self.sampling), strict=True):
            _extend(jobs[index], token, self.max_length)

    def _forward(self, slots: Sequence[_Slot], feeds: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits after the last id of every feed, shape (slots, vocabulary)."""
        used = max(slot.row for slot in slots) + 1
        # Where most rows have work, the others come along idle, so that the cache is read in place.
        dense = 2 * len(slots) > used
        cache, places = self._cache, [slot.row for slot in slots] if dense else list(range(len(slots)))
        cache.rows = slice(used) if dense else torch.tensor([slot.row for slot in slots])
        batch = used if dense else len(slots)
        lengths, starts = torch.zeros(batch, dtype=torch.long), torch.zeros(batch, dtype=torch.long)
        lengths[places] = torch.tensor([len(feed) for feed in feeds])
        starts[places] = torch.tensor([slot.cached for slot in slots])
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        ids = torch.zeros(inside.shape, dtype=torch.long)
        in_order = sorted(zip(places, feeds, strict=True), key=lambda pair: pair[0])
        ids[inside] = torch.tensor([token for _, feed in in_order for token in feed])
        positions = starts[:, None] + steps
        cache.positions = torch.where(inside, positions, self.max_length)
        cache.width = int((starts + lengths).max())
        mask = (torch.arange(cache.width) <= positions[:, :, None])[:, None]
        out = self.model.model(
            input_ids=ids,
            attention_mask=dict.fromkeys(set(self.model.config.layer_types), mask),
            position_ids=positions.clamp(max=self.max_length - 1),
            past_key_values=cache,
            use_cache=True,
        )
        last = out.last_hidden_state[places, lengths[places] - 1]
        logits: torch.Tensor = self.model.lm_head(last)
        return logits


def _extend(job: _Job, token: int, max_length: int) -> None:
    job.slot.ids.append(token)
    finish: FinishReason | None = None
    if token in job.request.stop_token_ids:
        finish = "stop"
    elif len(job.continuation.token_ids) + 1 == job.request.max_tokens or len(job.slot.ids) >= max_length:
        finish = "length"
    job.continuation.push((token,), finish)
    job.live = finish is None


def _leave(job: _Job) -> None:
    job.live = False


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


def draw(logits: torch.Tensor, uniforms: Sequence[float], sampling: SamplingParams) -> list[int]:
    """One token per row of `logits` (rows, vocabulary), by inverse CDF over the allowed tokens."""
    if not len(logits):
        return []
    if sampling.temperature == 0:
        return logits.argmax(-1).tolist()
    probabilities = (logits / sampling.temperature).softmax(-1)
    order = None
    if sampling.top_k or sampling.top_p < 1:
        probabilities, order = torch.sort(probabilities, dim=-1, descending=True, stable=True)
        probabilities = _allowed(probabilities, sampling)
    mass = probabilities.cumsum(-1)
    targets = torch.tensor(uniforms, dtype=mass.dtype)[:, None] * mass[:, -1:]
    chosen = torch.searchsorted(mass, targets, right=True).clamp(max=mass.shape[-1] - 1)
    return (chosen if order is None else order.gather(1, chosen)).squeeze(1).tolist()


def _allowed(probabilities: torch.Tensor, sampling: SamplingParams) -> torch.Tensor:
    """Falling `probabilities` with those past the cuts set to 0, in vLLM's order: top_k, then top_p."""
    if sampling.top_k:
        probabilities = probabilities[:, : sampling.top_k]
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    # The token that crosses top_p is the last one allowed.
    before = probabilities.cumsum(-1) - probabilities
    return torch.where(before < sampling.top_p, probabilities, 0)
