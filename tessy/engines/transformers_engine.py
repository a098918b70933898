"""A transformers model inside this process, with continuous batching over a slotted KV cache.

Each live sample owns one row of a pooled cache. A request is compared with the content of its row: the
common prefix is kept, the rest (a rollback) is dropped, and only new ids are fed. Every tick advances
all waiting requests in one ragged forward pass: one token each for decoding requests, several
for those that first prefill text of the other model.

The model runs in double precision by default: a logit then does not depend on which samples happened
to share a batch (to far below any sampling threshold), so runs can be killed, resumed and regrouped
without changing a token. Not covered: models too large for that; they are served by vLLM.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import AutoModelForCausalLM

from tessy.config.base import Sampler
from tessy.engines import (
    Continuation,
    EngineFault,
    EngineStats,
    FinishReason,
    Request,
    uniform,
)
from tessy.engines.heads import output_head
from tessy.engines.kv_slots import SlotModel, common_prefix
from tessy.engines.turns import Turns
from tessy.errors import UserError

FEED_TOKENS = 64
"""Ids a sample may feed per tick: those that write do not wait for one long prompt."""


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

    @property
    def feed(self) -> list[int]:
        """The ids for its next pass."""
        return self.slot.ids[self.slot.cached : self.slot.cached + FEED_TOKENS]


class TransformersEngine:
    """Runs the checkpoint at `source` for up to `slots` live samples of at most `max_length` ids."""

    def __init__(
        self,
        source: str,
        sampling: Sampler,
        *,
        slots: int,
        max_length: int,
        revision: str | None = None,
        dtype: torch.dtype = torch.float64,
        turns: Turns | None = None,
    ) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(source, revision=revision, dtype=dtype).eval()
        config = self.model.config.get_text_config()
        if max_length > config.max_position_embeddings:
            raise UserError(
                f"model {source}: {max_length} tokens wanted, its context holds "
                f"{config.max_position_embeddings}; "
                "lower max_tokens or choose another model"
            )
        self.sampling = sampling
        self.max_length = max_length
        self._head = output_head(self.model)
        self._reader = SlotModel(self.model, slots, max_length)
        self._free = list(range(slots))[::-1]
        self._slots: dict[str, _Slot] = {}
        self._jobs: list[_Job] = []
        self._prefix_tokens = self._prefix_hits = 0
        self._turns = turns or Turns()
        self._turns.join(self)

    def open(self, request: Request) -> Continuation:
        if len(request.token_ids) >= self.max_length or request.max_tokens < 1:
            done = Continuation()
            done.push([], "length")
            return done
        job = _Job(request, self._slot_for(request), Continuation(lambda: _leave(job)))
        self._jobs.append(job)
        self._turns.call()
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
        self._prefix_tokens += len(slot.ids)
        self._prefix_hits += slot.cached
        return slot

    async def stats(self) -> EngineStats:
        return EngineStats(self._prefix_tokens, self._prefix_hits)

    async def close(self) -> None:
        """Nothing to do: nothing runs when no continuation is open."""

    @property
    def waiting(self) -> int:
        self._jobs = [job for job in self._jobs if job.live]
        return sum(len(job.feed) for job in self._jobs)

    def step(self) -> None:
        """One pass for all: decoding requests feed one id, prefilling requests several."""
        try:
            self._tick()
        except Exception as error:
            failed, self._jobs = self._jobs, []
            for job in failed:
                job.continuation.fail(EngineFault("transformers engine", repr(error)))
            raise

    @torch.inference_mode()
    def _tick(self) -> None:
        jobs = self._jobs
        feeds = [job.feed for job in jobs]
        hidden = self._reader.read([job.slot.row for job in jobs], [job.slot.cached for job in jobs], feeds)
        for job, feed in zip(jobs, feeds, strict=True):
            job.slot.cached += len(feed)
        ready = [index for index, job in enumerate(jobs) if job.slot.cached == len(job.slot.ids)]
        last = list(itertools.accumulate(map(len, feeds)))
        logits = self._head(hidden[[last[i] - 1 for i in ready]])
        draws = [uniform(jobs[i].request.randomness, len(jobs[i].slot.ids)) for i in ready]
        likeliest = _logprobs(logits, [jobs[i].request.logprobs for i in ready])
        for index, token, given in zip(ready, draw(logits, draws, self.sampling), likeliest, strict=True):
            _extend(jobs[index], token, given, self.max_length)


def _logprobs(logits: torch.Tensor, wanted: Sequence[int]) -> list[list[float]]:
    """For each row of `logits` (rows, vocabulary), the log-probabilities of its `wanted` likeliest tokens."""
    most = max(wanted, default=0)
    if not most:
        return [[] for _ in wanted]
    rows = logits.log_softmax(-1).topk(min(most, logits.shape[-1])).values.tolist()
    return [row[:count] for row, count in zip(rows, wanted, strict=True)]


def _extend(job: _Job, token: int, logprobs: Sequence[float], max_length: int) -> None:
    job.slot.ids.append(token)
    finish: FinishReason | None = None
    if token in job.request.stop_token_ids:
        finish = "stop"
    elif len(job.continuation.token_ids) + 1 == job.request.max_tokens or len(job.slot.ids) >= max_length:
        finish = "length"
    job.continuation.push((token,), finish, (logprobs,) if job.request.logprobs else ())
    job.live = finish is None


def _leave(job: _Job) -> None:
    job.live = False


def draw(logits: torch.Tensor, uniforms: Sequence[float], sampling: Sampler) -> list[int]:
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


def _allowed(probabilities: torch.Tensor, sampling: Sampler) -> torch.Tensor:
    """Descending `probabilities` with those past the cuts set to 0, in vLLM's order: top_k, then top_p."""
    if sampling.top_k:
        probabilities = probabilities[:, : sampling.top_k]
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    # The token that crosses top_p is the last one allowed.
    before = probabilities.cumsum(-1) - probabilities
    return torch.where(before < sampling.top_p, probabilities, 0)
