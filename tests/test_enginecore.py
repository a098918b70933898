"""What is added to vLLM's engine: a sample's prompts have the hashes that vLLM computes, for less."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.engines.enginecore import named, remembering, shared

SIZE = 16


class Asked:
    """A request as the engine's process has it."""

    def __init__(self, name: str, ids: list[int], **more: Any) -> None:
        self.request_id, self.prompt_token_ids, self.block_hashes = name, ids, list[Any]()
        self.__dict__ |= more


def chained(computed: list[int]) -> Any:
    """A hasher of blocks in vLLM's manner that counts what it computes."""

    def make(block_size: int) -> Any:
        def hasher(request: Asked) -> list[Any]:
            new, before = list[Any](), request.block_hashes[-1] if request.block_hashes else None
            start, ids = len(request.block_hashes) * block_size, request.prompt_token_ids
            for at in range(start, len(ids) - block_size + 1, block_size):
                before = hash((before, tuple(ids[at : at + block_size])))
                new.append(before)
            computed.append(len(new))
            return new

        return hasher

    return make


def hashes(hasher: Any, request: Asked) -> list[Any]:
    request.block_hashes.extend(hasher(request))
    return request.block_hashes


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 90), st.integers(0, 40)), max_size=12))
def test_hashes_are_those_of_the_whole_prompt(spans: list[tuple[int, int, int]]) -> None:
    """Prompts of three samples grow, and lose what was thrown away at their ends."""
    rng, prompts = random.Random(0), dict[int, list[int]]()
    hasher, plain = remembering(chained([]), SIZE), chained([])(SIZE)
    for number, (sample, kept, new) in enumerate(spans):
        ids = prompts.get(sample, [])[:kept] + [rng.randrange(3) for _ in range(new)]
        prompts[sample] = ids
        name = f"generate-tokens-{named('ab12', sample, number)}-deadbeef"
        assert hashes(hasher, Asked(name, ids)) == hashes(plain, Asked("a", ids))


def test_only_new_blocks_are_hashed() -> None:
    computed = list[int]()
    hasher = remembering(chained(computed), SIZE)
    ids = list(range(10_000))
    for more in range(3):
        hashes(hasher, Asked(named("ab", 7, more), [*ids, *range(20 * more)]))
    assert computed == [625, 1, 1]


@pytest.mark.parametrize("more", [{"lora_request": "an adapter"}, {"cache_salt": "s"}, {"mm_features": [1]}])
def test_what_depends_on_more_than_ids_is_hashed_by_vllm_alone(more: dict[str, Any]) -> None:
    computed = list[int]()
    hasher = remembering(chained(computed), SIZE)
    for name, fields in (
        (named("ab", 7, 0), more),
        (named("ab", 7, 1), more),
        ("chatcmpl-7.1", {}),
        ("a", {}),
    ):
        hashes(hasher, Asked(name, list(range(64)), **fields))
    assert computed == [4, 4, 4, 4]


def test_a_shared_beginning_is_counted_in_blocks_where_it_ends_early() -> None:
    ids = array("i", range(100))
    assert shared(ids[:37], ids, SIZE) == 37
    assert shared(ids, ids[:37], SIZE) == 32
    assert shared(ids[:40] + array("i", [7]), ids, SIZE) == 32
    assert shared(array("i"), ids, SIZE) == 0
    assert shared(ids, array("i", [5]), SIZE) == 0


@pytest.mark.vllm
def test_vllms_own_hasher_goes_on_behind_known_hashes() -> None:
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import get_hash_fn_by_name
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
    from vllm.v1.request import Request

    digest = get_hash_fn_by_name("sha256")
    init_none_hash(digest)
    plain = get_request_block_hasher(SIZE, digest)
    hasher = remembering(get_request_block_hasher, SIZE, digest)

    def hashed(by: Any, name: str, ids: list[int]) -> list[Any]:
        request = Request(name, ids, SamplingParams(max_tokens=50), None, block_hasher=by)
        for token in range(40):
            request.append_output_token_ids(token)
        return request.block_hashes

    rng = random.Random(1)
    ids = [rng.randrange(1000) for _ in range(1000)]
    for number, prompt in enumerate(([5, 6], ids[:200], ids, ids[:700], [*ids[:500], 1, *ids[501:]])):
        name = f"{named('ab', 3, number)}-cafe0000"
        assert hashed(hasher, name, prompt) == hashed(plain, "other", prompt)


@pytest.mark.vllm
def test_a_continued_prompt_costs_less_and_finds_the_same_blocks() -> None:
    from tessy.bench.prompts import measure

    found = measure([4_000], SIZE)["4000"]
    assert found["whole"].keys() == found["continued"].keys()
    for part in ("client", "server", "engine: hashes"):
        assert found["continued"][part] < 0.7 * found["whole"][part], part
