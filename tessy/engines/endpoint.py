"""An endpoint for vLLM's own server that carries any number of requests over one WebSocket.

A span of a TESSY trace is a dozen tokens. As an HTTP request of its own it costs the server and its client
milliseconds of processor time, with the miniature's models more than its tokens do. Here a message
holds the bodies of many requests (those of /inference/v1/generate) and the names of many aborts, and an
answer holds whatever all of them have written since the last one:

    {"open": [body, ...], "abort": [request_id, ...], "forget": [sample, ...]}
    [[request_id, token ids, finish reason or null, log-probabilities or null], [request_id, fault], ...]

A body may say which `sample` it continues, by a number, and how many ids of that sample's last prompt are
its own first ones (`kept`): `token_ids` are then those behind them. Prompts are kept until they are to be
forgotten.

Loaded by vLLM where VLLM_PLUGINS names it, as it does for servers that a recipe starts; API keys guard it
like every path under /inference. The client's end is `tessy.engines.session`. Not covered: prompts of
anything but ids, several answers to one prompt.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import suppress
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from vllm import SamplingParams
from vllm.inputs import tokens_input
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from tessy.engines.codec import PATHS

KNOWN = frozenset(inspect.signature(SamplingParams).parameters)
"""What this version of vLLM takes; up to 0.26 a request has no `stream_interval` of its own."""


class SessionEndpoint:
    """What vLLM's plugin protocol asks for."""

    name = "tessy"
    required_tasks = ("generate",)

    def attach_router(self, app: Any) -> None:
        app.router.routes.append(WebSocketRoute(PATHS["session"], self._serve))

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        self._engine = engine_client

    async def _serve(self, socket: WebSocket) -> None:
        await _Session(self._engine, socket).run()


class _Session:
    """One client, and what it has open."""

    def __init__(self, engine: Any, socket: WebSocket) -> None:
        self._engine, self._socket = engine, socket
        self._open: dict[str, asyncio.Task[None]] = {}
        self._prompts: dict[int, list[int]] = {}
        self._news: list[list[Any]] = []
        self._some = asyncio.Event()

    async def run(self) -> None:
        await self._socket.accept()
        telling = asyncio.create_task(self._tell())
        try:
            async for data in self._socket.iter_bytes():
                message = json.loads(data)
                for body in message.get("open", ()):
                    name, ids = body["request_id"], self._prompt(body)
                    self._open[name] = asyncio.create_task(self._write(name, ids, body["sampling_params"]))
                for name in message.get("abort", ()):
                    if name in self._open:
                        self._open.pop(name).cancel()
                for sample in message.get("forget", ()):
                    self._prompts.pop(sample, None)
        finally:
            for task in (telling, *self._open.values()):
                task.cancel()

    def _prompt(self, body: dict[str, Any]) -> list[int]:
        """The whole prompt, of which a copy is kept where it will be continued. Raises `ValueError` where
        less of it is there than the client thinks: the connection then ends, and the next one begins
        anew."""
        new: list[int] = body["token_ids"]
        if (sample := body.get("sample")) is None:
            return new
        known = self._prompts.get(sample, [])[: body["kept"]]
        if len(known) < body["kept"]:
            raise ValueError(f"sample {sample}: {body['kept']} ids are to be kept, {len(known)} are here")
        self._prompts[sample] = known + new
        return known + new

    async def _write(self, name: str, prompt: list[int], sampling: dict[str, Any]) -> None:
        try:
            params, interval = _sampling(sampling)
            ids, given = list[int](), list[list[float]]()
            async for output in self._engine.generate(tokens_input(prompt), params, name):
                new = output.outputs[0]
                ids += new.token_ids
                given += ([one.logprob for one in place.values()] for place in new.logprobs or ())
                if new.finish_reason or len(ids) >= interval:
                    self._say([name, ids, new.finish_reason, given or None])
                    ids, given = [], []
        except Exception as error:
            status = int(getattr(error, "status_code", 400 if isinstance(error, ValueError) else 500))
            self._say([name, {"code": status, "message": f"{type(error).__name__}: {error}"}])
        self._open.pop(name, None)

    def _say(self, news: list[Any]) -> None:
        self._news.append(news)
        self._some.set()

    async def _tell(self) -> None:
        while True:
            await self._some.wait()
            # What a step of the engine brings to all requests arrives in this pass of the event loop.
            await asyncio.sleep(0)
            self._some.clear()
            news, self._news = self._news, []
            # Who hangs up is noticed where messages are received.
            with suppress(RuntimeError, OSError, WebSocketDisconnect):
                await self._socket.send_text(json.dumps(news, separators=(",", ":")))


def _sampling(wanted: dict[str, Any]) -> tuple[SamplingParams, int]:
    """vLLM's parameters for a body's, and how many ids to gather here before they are worth a message."""
    if structured := wanted.get("structured_outputs"):
        wanted["structured_outputs"] = StructuredOutputsParams(**structured)
    wanted |= {"output_kind": RequestOutputKind.DELTA, "skip_clone": True}
    gathered = 1 if "stream_interval" in KNOWN else wanted.pop("stream_interval", 1)
    return SamplingParams(**wanted), gathered
