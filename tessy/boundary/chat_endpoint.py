"""Client of an OpenAI-compatible chat endpoint that is asked for a JSON array of strings.

A first question finds out what the server supports: a JSON schema for answers, a thinking switch in the chat
template. What it refuses is left out. Requests to a busy or briefly unreachable server are retried; a server
that stays unreachable ends the stage, which can be resumed later.

Not covered: streaming, tools, what the answers say (`matching`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import aiohttp

from tessy.engines.codec import NEUTRAL
from tessy.errors import UserError

SCHEMA = {"type": "array", "items": {"type": "string"}}
TRIES = 6
"""Of one question, before an endpoint that does not answer ends the stage."""
PAUSE_S = (0.5, 30.0)
"""First and longest pause between tries."""
PROBE_TOKENS = 16


class EndpointFault(RuntimeError):
    """The endpoint gave no answer; a retry may succeed."""


class Refused(RuntimeError):
    """The endpoint refuses this request; retrying cannot help."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"status {status}: {said[:300]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """Request options of every question; `thinking` is None where the server has no such switch, and `cuts`
    is False where it knows neither `top_k` nor similar parameters, and so has no defaults for them either."""

    model: str
    max_tokens: int
    sampler: Mapping[str, float]
    schema: bool = True
    thinking: bool | None = False
    cuts: bool = True

    def body(self, prompt: str, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.max_tokens,
            "seed": seed,
            "temperature": self.sampler["temperature"],
            "top_p": self.sampler["top_p"],
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }
        if self.cuts:
            body |= {"top_k": self.sampler["top_k"], **NEUTRAL}
        if self.schema:
            named = {"name": "style_spans", "schema": SCHEMA, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        if self.thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": self.thinking}
        return body


class ChatEndpoint:
    """Made by `connect`; `options` are what the server supports."""

    def __init__(
        self, url: str, options: ChatOptions, session: aiohttp.ClientSession, pauses: tuple[float, float]
    ) -> None:
        self.url, self.options = url.rstrip("/") + "/chat/completions", options
        self._session, self._pauses = session, pauses

    @classmethod
    async def connect(
        cls,
        url: str,
        options: ChatOptions,
        *,
        key: str | None,
        timeout_s: float,
        pauses: tuple[float, float] = PAUSE_S,
    ) -> Self:
        """Find out what the server at `url` supports; raises `UserError` where it cannot be used."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=timeout_s))
        endpoint = cls(url, options, session, pauses)
        try:
            await endpoint._probe()
        except BaseException:
            await session.close()
            raise
        return endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, prompt: str, seed: int) -> str:
        """The answer's text, empty where the model wrote none; raises `EndpointFault` or `Refused`."""
        pause, longest = self._pauses
        for attempt in range(TRIES):
            try:
                return await self._post(self.options.body(prompt, seed))
            except EndpointFault:
                if attempt == TRIES - 1:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, longest)
        raise AssertionError("unreachable")

    async def _probe(self) -> None:
        """The first options that work: all of them, then without the schema, without the thinking switch,
        without both; then the same without cuts, if the recipe asks for none."""
        wanted, refusals = self.options, []
        cuts = (True,) if wanted.sampler["top_k"] else (True, False)
        schemas = (True, False) if wanted.schema else (False,)
        for cut, thinking, schema in product(cuts, (wanted.thinking, None), schemas):
            self.options = replace(wanted, schema=schema, thinking=thinking, cuts=cut)
            body = self.options.body("Answer with a JSON array of strings.", 0)
            try:
                await self._post({**body, "max_tokens": min(PROBE_TOKENS, wanted.max_tokens)})
                return
            except EndpointFault as fault:
                raise UserError(f"execution.annotator.url: {self.url}: {fault}; is the server up?") from None
            except Refused as refusal:
                if refusal.status in (401, 403):
                    raise UserError(
                        f"execution.annotator: {self.url} wants a key: {refusal}; set the variable "
                        "that execution.annotator.key_variable names"
                    ) from None
                refusals.append(str(refusal))
        raise UserError(
            f"execution.annotator: {self.url} refuses model {wanted.model!r}: {refusals[-1]}; check the URL "
            "and the name of the model that is asked (predictors.annotator.model, or a rating's)"
        )

    async def _post(self, body: Mapping[str, Any]) -> str:
        try:
            async with self._session.post(self.url, json=body) as response:
                if response.status in (408, 409, 429) or response.status >= 500:
                    raise EndpointFault(f"status {response.status}: {(await response.text())[:300]}")
                if response.status >= 400:
                    raise Refused(response.status, await response.text())
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            raise EndpointFault(f"{type(error).__name__}: {error}") from None
        return _content(answer)


def _content(answer: Any) -> str:
    with suppress(KeyError, IndexError, TypeError):
        content = answer["choices"][0]["message"]["content"]
        if content is None or isinstance(content, str):
            return content or ""
    raise EndpointFault(f"not a chat completion: {str(answer)[:300]}")
