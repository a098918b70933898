"""Finds out what a server offers: its model, its context length, and the best API.

Each API is tried with a short request that has the parameters of the run: a server that ignores or refuses
one of them is detected before the first sample. Not covered: servers of other protocols.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from tessy.config.base import Sampler
from tessy.engines import EngineFault, Request
from tessy.engines.codec import PATHS, WAYS, Codec, Dialogue, Piece, Way, dialogue, events, fault_of
from tessy.engines.session import SessionClient
from tessy.errors import UserError, described

log = logging.getLogger(__name__)
PROBE_S = 180.0
"""How long one token may take: vLLM compiles on a server's first request, and again on the first one with
log-probabilities, which took more than a minute on a busy machine."""
PROBE_TOKENS = 16
"""Drawn freely, so many are hardly ever the same twice."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to use one server: its base `url`, its name for the model, the way in, its longest context
    (None where it does not say), and the path that tells whether it is well."""

    url: str
    model: str
    way: Way
    max_length: int | None
    health: str


async def find_access(
    session: aiohttp.ClientSession,
    endpoints: Sequence[str],
    model: str | None,
    sampling: Sampler,
    codec: Codec | None,
    ways: Sequence[Way] = WAYS,
    logprobs: int = 0,
) -> list[Access]:
    """The access to every one of `endpoints`, by the first of `ways` that works, and that gives as many
    `logprobs` with an id as requests will ask for.

    Raises `UserError` where one has none, or where they differ in the model.
    """
    urls = [endpoint.rstrip("/").removesuffix("/v1") for endpoint in endpoints]
    if not urls or len(set(urls)) < len(urls):
        raise UserError(f"endpoints {list(endpoints)}: name every server once, and at least one")
    found = await asyncio.gather(
        *(_access(session, url, model, sampling, codec, ways, logprobs) for url in urls)
    )
    if len({access.model for access in found}) > 1:
        models = ", ".join(f"{access.model} at {access.url}" for access in found)
        raise UserError(f"the servers of one engine differ in the model: {models}; give each model its own")
    return list(found)


async def _access(
    session: aiohttp.ClientSession,
    url: str,
    model: str | None,
    sampling: Sampler,
    codec: Codec | None,
    ways: Sequence[Way],
    logprobs: int,
) -> Access:
    served, max_length = await served_model(session, url, model)
    tried = []
    for way in ways if codec else [way for way in ways if way != "text"]:
        refusal = await _refusal(session, url, way, served, sampling, codec, logprobs)
        if refusal is None:
            if way == "text":
                log.warning(
                    "%s takes only text: new text is encoded here, and its ids are not the model's own", url
                )
            return Access(url, served, way, max_length, await _health_path(session, url))
        tried.append(f"  {PATHS[way]} as {way}: {refusal}")
    raise UserError(
        f"server {url}: no usable way to continue token ids; tried\n"
        + "\n".join(tried)
        + "\nrun vLLM 0.10 or newer, with --enable-scale-out where it has that option"
    )


async def served_model(session: aiohttp.ClientSession, url: str, model: str | None) -> tuple[str, int | None]:
    """The name and the context length (None where it does not say) of `model` at the server `url`, or of the
    only one there is: the first name where all of them stand for one root.

    Raises `UserError` where there is none.
    """
    models = await _models(session, url)
    known = {str(entry["id"]): entry.get("max_model_len") for entry in models}
    if model is None and len({entry.get("root") or entry["id"] for entry in models}) == 1:
        model = next(iter(known))
    if model is None or model not in known:
        wanted = "several models" if model is None else f"no model {model!r}"
        raise UserError(f"server {url}: {wanted}; set `model` to one of {', '.join(known) or '(none)'}")
    return model, known[model]


async def _models(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    try:
        async with session.get(f"{url}/v1/models", timeout=aiohttp.ClientTimeout(PROBE_S)) as response:
            if response.status in (401, 403):
                raise UserError(
                    f"server {url}: it wants an API key (HTTP {response.status}); set api_key_env to the "
                    "environment variable that holds it"
                )
            response.raise_for_status()
            listed = (await response.json(content_type=None))["data"]
            return [{**model, "id": model["id"]} for model in listed]
    except UserError:
        raise
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"server {url}: /v1/models does not answer ({described(error)}); check that it runs and that the "
            "address is its base URL, for example http://127.0.0.1:8000"
        ) from None


async def _refusal(
    session: aiohttp.ClientSession,
    url: str,
    way: Way,
    model: str,
    sampling: Sampler,
    codec: Codec | None,
    logprobs: int,
) -> str | None:
    """Why `way` does not work at `url`, or None where it returned a token."""
    if way == "text" and logprobs:
        return "no log-probabilities of the model's own tokens, which a switch by entropy or margin needs"
    # The text way needs a prompt of some letters; any ids do for the others.
    prompt = codec.encode("a") if way == "text" and codec else [0]
    asked = dialogue(
        # Two tokens, so that one comes before the other: streaming has to work.
        way,
        Request("probe", prompt, 2, (), "", logprobs=logprobs),
        "probe",
        model,
        sampling,
        codec,
    )
    if way == "session":
        return await _session_refusal(session, url + PATHS[way], asked.body)
    try:
        if not await _answer(session, url + PATHS[way], asked):
            return "the answer holds no token ids"
        drawn = way == "text" and sampling.temperature > 0
        deaf = drawn and await _ignores_cuts(session, url, model, prompt, codec)
    except (aiohttp.ClientError, TimeoutError, OSError, EngineFault) as error:
        return described(error)
    return "it ignores top_k (two answers with top_k 1 differ); use a server that knows it" if deaf else None


async def _answer(session: aiohttp.ClientSession, url: str, asked: Dialogue) -> list[int]:
    """The ids of a streamed answer; raises `EngineFault` for a refusal."""
    timeout = aiohttp.ClientTimeout(PROBE_S)
    async with session.post(url, data=asked.body, timeout=timeout) as response:
        body = await response.read()
    if response.status != 200:
        raise fault_of(response.status, body[:300].decode(errors="replace"))
    return [token for data in events(body) for token in asked.read(data).token_ids]


async def _ignores_cuts(
    session: aiohttp.ClientSession, url: str, model: str, prompt: list[int], codec: Codec | None
) -> bool:
    """Whether a server of the API `text` silently ignores `top_k`, as some that do not support it do."""
    one = Sampler(temperature=2.0, top_k=1)
    request = Request("probe", prompt, PROBE_TOKENS, (), "", check_interval_tokens=1)
    # A dialogue has state: each answer needs its own.
    asked = [dialogue("text", request, "probe", model, one, codec) for _ in range(2)]
    first, second = [await _answer(session, url + PATHS["text"], each) for each in asked]
    return first != second


async def _session_refusal(session: aiohttp.ClientSession, url: str, body: bytes) -> str | None:
    answered: asyncio.Future[Piece | EngineFault] = asyncio.get_running_loop().create_future()
    line = SessionClient(session, url, PROBE_S)
    line.ask("probe", body, answered.set_result, answered.set_result)
    answer = await answered
    await line.close()
    if isinstance(answer, EngineFault):
        return str(answer)
    return None if answer.token_ids else "the answer holds no token ids"


async def _health_path(session: aiohttp.ClientSession, url: str) -> str:
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.get(f"{url}/health", timeout=aiohttp.ClientTimeout(PROBE_S)) as response:
            if response.status == 200:
                return "/health"
    return "/v1/models"
