"""The server engine against a real vLLM: what it writes, that aborts end work, and that it comes back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.engines import EngineFault, Request
from tessy.engines.codec import WAYS, Way
from tessy.engines.connect import connected
from tessy.engines.server import ServerEngine
from tessy.errors import UserError
from tests.processes import descendants, end
from tests.vllm_server import END, LENGTH, Codec, Host, vllm_server

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(500)]
PROMPTS = [Codec().encode(text) for text in ("What is 2 + 2?", "x", "the quick brown fox " * 5)]


@asynccontextmanager
async def engine(
    host: Host, temperature: float = 0.0, way: Way = "session", logprobs: int = 0
) -> AsyncIterator[ServerEngine]:
    connected = await ServerEngine.connect(
        [host.url],
        Sampler(temperature=temperature),
        timeout_s=60,
        codec=Codec(),
        vocabulary=END + 1,
        ways=(way,),
        logprobs=logprobs,
    )
    try:
        yield connected
    finally:
        await connected.close()


def request(ids: list[int], tokens: int, stop: int | None = None) -> Request:
    return Request("s", ids, tokens, () if stop is None else (stop,), "", 8)


def gauge(host: Host, name: str) -> float:
    with urllib.request.urlopen(f"{host.url}/metrics") as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^vllm:{name}{{.*}} (.*)$", text, re.MULTILINE))


def test_a_recipe_finds_the_best_way_in_and_checks_the_context(host: Host) -> None:
    async def connect(length: int) -> tuple[str, int]:
        said: list[str] = []
        async with connected(
            settings := EngineSettings(kind="server", endpoints=[f"{host.url}/v1"]),
            settings.endpoints,
            length,
            Sampler(temperature=0.0),
            codec=Codec(),
            vocabulary=END + 1,
            name="student",
            report=said.append,
        ) as e:
            assert said == [f"student: {e.model} at {host.url} (session)"]
            assert (await e.stats()).kv_tokens
            return e.accesses[0].way, e.max_length

    assert asyncio.run(connect(LENGTH)) == ("session", LENGTH)
    with pytest.raises(UserError, match=f"{LENGTH + 1} tokens wanted.*holds {LENGTH}"):
        asyncio.run(connect(LENGTH + 1))


def test_greedy_ids_are_those_of_transformers_whatever_the_way_in(host: Host) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(host.model, dtype=torch.float32)

    async def written(way: Way) -> list[list[int]]:
        async with engine(host, way=way) as e:
            done = await asyncio.gather(*(e.open(request(ids, 24)).finished() for ids in PROMPTS))
            assert {continuation.finish_reason for continuation in done} == {"length"}
            return [continuation.token_ids for continuation in done]

    expected = [
        model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False, eos_token_id=None)[
            0, len(ids) :
        ].tolist()
        for ids in PROMPTS
    ]
    for way in ("session", "tokens", "completions", "text"):
        assert asyncio.run(written(way)) == expected, way


@pytest.mark.parametrize("way", ["session", "tokens", "completions"])
def test_logprobs_are_those_of_transformers_before_temperature(host: Host, way: Way) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(host.model, dtype=torch.float32)

    async def ask() -> None:
        async with engine(host, 2.0, way, logprobs=8) as e:
            asked = [replace(request(ids, 12), logprobs=8) for ids in PROMPTS]
            done = await asyncio.gather(*(e.open(one).finished() for one in asked))
        for one, found in zip(asked, done, strict=True):
            logits = model(torch.tensor([[*one.token_ids, *found.token_ids]])).logits[0]
            own = logits.log_softmax(-1)[len(one.token_ids) - 1 : -1].topk(8).values.tolist()
            assert [row[:8] for row in found.logprobs] == [pytest.approx(row, abs=2e-3) for row in own]

    asyncio.run(ask())


@pytest.mark.parametrize("way", WAYS)
def test_a_schema_is_kept_to_whatever_the_way_in(host: Host, way: Way) -> None:
    """The model alone would write rubbish."""
    schema = json.dumps({"type": "array", "items": {"enum": ["Okay", "so"]}, "minItems": 2, "maxItems": 3})

    async def ask() -> None:
        async with engine(host, 1.0, way) as e:
            asked = [replace(request(ids, 200, END), schema=schema) for ids in PROMPTS]
            done = await asyncio.gather(*(e.open(one).finished() for one in asked))
        for found in done:
            assert found.finish_reason == "stop"
            listed = json.loads(Codec().decode(found.token_ids[:-1]))
            assert 2 <= len(listed) <= 3
            assert set(listed) <= {"Okay", "so"}

    asyncio.run(ask())


@pytest.mark.parametrize("way", ["session", "tokens", "completions"])
def test_the_stop_token_is_the_last_id(host: Host, way: Way) -> None:
    async def ask() -> None:
        async with engine(host, way=way) as e:
            free = await e.open(request(PROMPTS[0], 24)).finished()
            stop = free.token_ids[9]
            stopped = await e.open(request(PROMPTS[0], 24, stop)).finished()
            assert stopped.finish_reason == "stop"
            assert stopped.token_ids == free.token_ids[: free.token_ids.index(stop) + 1]

    asyncio.run(ask())


@pytest.mark.parametrize("way", ["session", "tokens", "completions"])
def test_an_abort_ends_the_work(host: Host, way: Way) -> None:
    async def ask() -> None:
        async with engine(host, temperature=1.0, way=way) as e:
            writing = [e.open(replace(request(PROMPTS[0], 3000), sample_id=f"s{n}")) for n in range(16)]
            await asyncio.gather(*(continuation.grown(10) for continuation in writing))
            assert await asyncio.to_thread(gauge, host, "num_requests_running") == 16
            for continuation in writing:
                continuation.abort()
            sizes = [len(continuation.token_ids) for continuation in writing]
            await asyncio.sleep(1.5)
            assert await asyncio.to_thread(gauge, host, "num_requests_running") == 0
            assert [len(continuation.token_ids) for continuation in writing] == sizes
            assert max(sizes) < 3000, "on a busy machine it takes a while until they are aborted"

    asyncio.run(ask())


@pytest.mark.parametrize("way", ["session", "tokens"])
def test_a_sample_that_grows_writes_what_its_whole_prompt_would(host: Host, way: Way) -> None:
    """Only what is new is sent and hashed; of what was written last a part is kept, as at a boundary."""

    async def ask() -> None:
        async with engine(host, way=way) as e:
            ids, other = Codec().encode("the quick brown fox " * 20), Codec().encode("so then it is, ")
            for number in range(14):
                asked = request(ids, 5)
                grown = await e.open(replace(asked, sample_id="grows")).finished()
                whole = await e.open(replace(asked, sample_id=f"new-{number}")).finished()
                assert grown.token_ids == whole.token_ids
                ids = [*ids, *grown.token_ids[: number % 6], *other[:number]]
            stats = await e.stats()
            assert stats.prefix_hits > 0.5 * stats.prefix_tokens, "both find what the other had computed"

    asyncio.run(ask())


def test_a_killed_server_is_started_again_and_work_goes_on(host: Host) -> None:
    async def ask() -> None:
        async with engine(host) as e:
            writing = e.open(request(PROMPTS[0], 3000))
            await writing.grown(10)
            _guard, server, *_ = descendants(host.process.pid)
            os.kill(server, signal.SIGKILL)
            with pytest.raises(EngineFault) as caught:
                await writing.finished()
            assert caught.value.unreachable
            # What had come is still good: the next server writes the same.
            again = await patiently(e, request(PROMPTS[0], 24))
            assert again[: len(writing.token_ids)] == writing.token_ids[:24]

    asyncio.run(ask())


def test_nothing_is_left_when_its_keeper_is_killed(tmp_path: Path) -> None:
    # A server of its own: the shared one is needed by tests of other files, which may come later.
    with vllm_server(tmp_path) as host:
        family = descendants(host.process.pid)
        assert len(family) >= 3, "guard, server, engine core"
        host.process.kill()
        host.process.wait()
        assert end(family, within_s=30)


async def patiently(e: ServerEngine, asked: Request) -> list[int]:
    deadline = time.monotonic() + 200
    while True:
        try:
            return (await e.open(asked).finished()).token_ids
        except EngineFault as fault:
            if not fault.unreachable or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
