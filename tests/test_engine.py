"""The transformers engine gives what the model gives, however work is batched, cut, rolled back, resumed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tessy.config.base import Sampler
from tessy.engines import Request, uniform

if TYPE_CHECKING:
    from tessy.engines.transformers_engine import TransformersEngine

pytestmark = pytest.mark.slow
VOCABULARY = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def engine(checkpoint: Path, temperature: float = 1.0, slots: int = 16) -> TransformersEngine:
    from tessy.engines.transformers_engine import TransformersEngine

    return TransformersEngine(str(checkpoint), Sampler(temperature=temperature), slots=slots, max_length=100)


def plain(checkpoint: Path) -> Any:
    """The model itself; an engine's own attends to slots."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float64)


def request(sample: str, ids: Sequence[int], tokens: int, stop: tuple[int, ...] = ()) -> Request:
    return Request(sample, ids, tokens, stop, f"stream/{sample}")


PREFIXES = {f"s{i}": [(i * 7 + j) % VOCABULARY for j in range(3 + 5 * i)] for i in range(6)}


def test_greedy_tokens_are_those_of_transformers(checkpoint: Path) -> None:
    import torch

    e = engine(checkpoint, temperature=0.0)

    async def together() -> list[list[int]]:
        done = await asyncio.gather(*(e.open(request(s, ids, 20)).finished() for s, ids in PREFIXES.items()))
        return [generation.token_ids for generation in done]

    model = plain(checkpoint)
    for ids, got in zip(PREFIXES.values(), asyncio.run(together()), strict=True):
        whole = model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False, eos_token_id=None)
        assert got == whole[0, len(ids) :].tolist()


def test_a_token_does_not_depend_on_batch_chunks_or_detours(checkpoint: Path) -> None:
    async def at_once() -> dict[str, list[int]]:
        e = engine(checkpoint)
        return {s: (await e.open(request(s, ids, 24)).finished()).token_ids for s, ids in PREFIXES.items()}

    async def piecewise() -> dict[str, list[int]]:
        e = engine(checkpoint)

        async def one(sample: str, ids: list[int]) -> list[int]:
            new: list[int] = []
            while len(new) < 24:
                await e.open(request(sample, [*ids, *new, 1, 2, 3], 5)).finished()  # A detour, rolled back.
                new += (
                    await e.open(
                        request(sample, [*ids, *new], 24 - len(new) if len(new) > 16 else 7)
                    ).finished()
                ).token_ids
            return new

        written = await asyncio.gather(*(one(s, ids) for s, ids in PREFIXES.items()))
        return dict(zip(PREFIXES, written, strict=True))

    assert asyncio.run(at_once()) == asyncio.run(piecewise())


def test_generation_stops_at_a_stop_token_and_at_the_context_end(checkpoint: Path) -> None:
    async def both() -> None:
        e = engine(checkpoint)
        free = await e.open(request("a", [1, 2, 3], 30)).finished()
        stop = free.token_ids[4]
        e.release("a")
        stopped = await e.open(request("a", [1, 2, 3], 30, (stop,))).finished()
        assert stopped.finish_reason == "stop"
        assert stopped.token_ids == free.token_ids[: free.token_ids.index(stop) + 1]
        full = await e.open(request("b", [1] * 90, 30)).finished()
        assert (len(full.token_ids), full.finish_reason) == (10, "length")

    asyncio.run(both())


def test_released_slots_are_used_again(checkpoint: Path) -> None:
    async def many() -> None:
        e = engine(checkpoint, slots=2)
        for i in range(6):
            await e.open(request(f"s{i}", [1, 2], 3)).finished()
            e.release(f"s{i}")

    asyncio.run(many())


def test_sampling_follows_the_distribution_and_its_cuts() -> None:
    import torch

    from tessy.engines.transformers_engine import draw

    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64)).expand(4000, 4)
    draws = [uniform("s", i) for i in range(4000)]

    def counts(params: Sampler) -> dict[int, float]:
        return {k: v / 4000 for k, v in Counter(draw(logits, draws, params)).items()}

    assert counts(Sampler(temperature=1.0)) == pytest.approx({0: 0.5, 1: 0.3, 2: 0.15, 3: 0.05}, abs=0.03)
    assert counts(Sampler(temperature=1.0, top_k=2)) == pytest.approx({0: 0.625, 1: 0.375}, abs=0.03)
    assert counts(Sampler(temperature=1.0, top_p=0.75)) == pytest.approx({0: 0.625, 1: 0.375}, abs=0.03)
    assert counts(Sampler(temperature=0.0)) == {0: 1.0}


def test_logprobs_are_the_models_own_before_temperature_and_cuts(checkpoint: Path) -> None:
    import torch

    from tessy.engines.transformers_engine import TransformersEngine

    e = TransformersEngine(
        str(checkpoint), Sampler(temperature=0.3, top_p=0.5, top_k=3), slots=16, max_length=100
    )
    model = plain(checkpoint)

    async def ask() -> None:
        asked = [replace(request(s, ids, 5), logprobs=n) for n, (s, ids) in enumerate(PREFIXES.items())]
        done = await asyncio.gather(*(e.open(one).finished() for one in asked))
        for one, found in zip(asked, done, strict=True):
            logits = model(torch.tensor([[*one.token_ids, *found.token_ids]])).logits[0]
            own = logits.log_softmax(-1)[len(one.token_ids) - 1 : -1].topk(one.logprobs).values.tolist()
            expected = own if one.logprobs else []
            assert [pytest.approx(row, abs=1e-9) for row in expected] == found.logprobs

    asyncio.run(ask())


def tiny(folder: Path, family: str, **more: Any) -> Path:
    """A checkpoint of another family, with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = AutoConfig.for_model(
        family,
        vocab_size=VOCABULARY,
        head_dim=16,
        num_key_value_heads=1,
        max_position_embeddings=128,
        **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **shape, **more},
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "family", ["llama", "mistral", "qwen2", "smollm3", "phi3", "gemma3_text", "glm", "olmo2"]
)
def test_other_families_write_what_transformers_writes(tmp_path: Path, family: str) -> None:
    """Several texts at once, one of them continued after a detour."""
    import torch

    tiny(tmp_path, family)
    e, model = engine(tmp_path, temperature=0.0), plain(tmp_path)

    async def write() -> list[list[int]]:
        await e.open(request("s3", [*PREFIXES["s3"], 5, 6, 7], 4)).finished()
        done = await asyncio.gather(*(e.open(request(s, ids, 12)).finished() for s, ids in PREFIXES.items()))
        return [generation.token_ids for generation in done]

    for ids, got in zip(PREFIXES.values(), asyncio.run(write()), strict=True):
        text = list(ids)
        for _ in got:
            text.append(int(model(torch.tensor([text])).logits[0, -1].argmax()))
        assert got == text[len(ids) :]


@pytest.mark.parametrize(
    ("family", "more", "reason"),
    [
        ("gemma3_text", {"sliding_window": 8}, "a window of 8"),
        ("mistral", {"sliding_window": 8}, "a window of 8"),
        ("gemma2", {"sliding_window": 4096}, "gemma2 does more to its logits"),
        ("gpt_oss", {"num_local_experts": 4, "sliding_window": 4096}, "gpt_oss cannot run in this process"),
        ("granite", {"logits_scaling": 8.0}, "granite does more to its logits"),
    ],
)
def test_a_model_that_computes_otherwise_is_refused(
    tmp_path: Path, family: str, more: dict[str, Any], reason: str
) -> None:
    from tessy.errors import UserError

    tiny(tmp_path, family, **more)
    with pytest.raises(UserError, match=reason):
        engine(tmp_path)


def test_a_context_longer_than_the_model_is_refused(checkpoint: Path) -> None:
    from tessy.engines.transformers_engine import TransformersEngine
    from tessy.errors import UserError

    with pytest.raises(UserError, match="its context holds 128"):
        TransformersEngine(str(checkpoint), Sampler(temperature=1.0), slots=1, max_length=500)
