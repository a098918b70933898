"""What a span costs in processor time before its first token, by the length of its trace: every span is a
request whose prompt is all that was written before.

Counted are the parts that grow with the prompt, on this process's clock: making the message, reading it in
the server, handing it to the engine's process, hashing it, finding and holding its cached blocks, and
giving them back. `whole` is what each request costs by itself, `continued` what one of a known sample costs
(`tessy.engines.session`, `tessy.engines.enginecore`). vLLM's own classes are used, without a model. Not
covered: what does not depend on the prompt, and the model.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tessy.config.base import Sampler
from tessy.engines import Request
from tessy.engines.codec import Continued, dialogue
from tessy.engines.enginecore import named, remembering
from tessy.engines.session import SessionClient

NEW = 27
"""Ids that a trace grows by between two requests to one model: a dozen of each author's, and a few more."""
VOCABULARY, ROUNDS = 150_000, 20


def measure(lengths: Sequence[int], block_size: int) -> dict[str, Any]:
    """Milliseconds of processor time by part, for prompts of each of `lengths`."""
    return {
        f"{length}": {
            name: {part: round(ms, 3) for part, ms in _parts(length, block_size, continued=known).items()}
            for name, known in (("whole", False), ("continued", True))
        }
        for length in lengths
    }


class _Watch:
    """Sums of processor time by part."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.ms[part] = self.ms.get(part, 0.0) + 1e3 * (time.process_time() - began)


def _parts(length: int, block_size: int, *, continued: bool) -> dict[str, float]:
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import get_hash_fn_by_name
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
    from vllm.v1.engine import EngineCoreRequest
    from vllm.v1.request import Request as EngineRequest
    from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

    rng, digest = random.Random(length), get_hash_fn_by_name("sha256")
    init_none_hash(digest)
    hasher = (
        remembering(get_request_block_hasher, block_size, digest)
        if continued
        else get_request_block_hasher(block_size, digest)
    )
    cache = _cache(block_size, length + NEW * (ROUNDS + 1))
    encoder, decoder = MsgpackEncoder(), MsgpackDecoder(EngineCoreRequest)
    line, params = SessionClient(None, "", 1.0), SamplingParams(max_tokens=64)  # type: ignore[arg-type]
    ids, held, watch = [rng.randrange(VOCABULARY) for _ in range(length)], list[int](), _Watch()
    for number in range(ROUNDS + 1):
        if number == 1:
            watch.ms.clear()
        name, asked = named("ab", 0, number), Request("s", ids, 64, (), "", 8)
        with watch("client"):
            known = Continued(0, line.kept(0, ids)) if continued else None
            body = dialogue("session", asked, name, "", Sampler(temperature=0.6), None, known).body
        with watch("server"):
            said = json.loads(body)
            held = held[: said.get("kept", 0)] + said["token_ids"]
            sent = encoder.encode(EngineCoreRequest(name, held, None, params, None, 0.0, None, None, None))
        with watch("engine: message"):
            got = decoder.decode(sent)
        with watch("engine: hashes"):
            one = EngineRequest.from_engine_core_request(got, hasher)
        with watch("engine: cached blocks"):
            blocks, cached, *_ = cache.get_computed_blocks(one)
            cache.allocate_slots(one, len(held) - cached, cached, blocks)
        one.num_computed_tokens = len(held)
        with watch("engine: cached blocks"):
            cache.free(one)
        ids = [*ids, *(rng.randrange(VOCABULARY) for _ in range(NEW))]
    return {part: ms / ROUNDS for part, ms in watch.ms.items()}


def _cache(block_size: int, tokens: int) -> Any:
    """vLLM's book of cached blocks, for prompts of up to `tokens`."""
    import torch
    from vllm.v1.core.kv_cache_manager import KVCacheManager
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec

    spec = FullAttentionSpec(block_size=block_size, num_kv_heads=8, head_size=128, dtype=torch.bfloat16)
    config = KVCacheConfig(
        num_blocks=4 * tokens // block_size,
        kv_cache_tensors=[],
        kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
    )
    return KVCacheManager(
        config, max_model_len=tokens, scheduler_block_size=block_size, hash_block_size=block_size
    )
