"""A small model server that misbehaves on request, for tests of what the engine makes of it.

Its model counts: after the id n it writes n + 1, n + 2, ... The first part of a path names how it
behaves (`http://.../hang/v1/models`). All manners answer a request for a single token properly, because
that is how a server is probed.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import WSMsgType, web

VOCABULARY = 1000
KEY = "open sesame"
OPENAI = {"model", "prompt", "stream", "max_tokens", "temperature", "top_p", "stop"}
ANSWERS = {"refuse": 400, "unknown": 404, "busy": 503, "rush": 429, "broken": 500, "expired": 401}
"""Manners that are nothing but a status."""


def choice(ids: list[int], finish: str | None = None) -> dict[str, Any]:
    """One event of a stream of ids."""
    return {"choices": [{"index": 0, "token_ids": ids, "finish_reason": finish}]}


def counted(asked: dict[str, Any]) -> dict[str, Any]:
    """The whole answer: ids that count on from the prompt's last, up to a stop id or as many as asked for."""
    start = asked["prompt"][-1] + 1
    ids = list(range(start, start + asked["max_tokens"]))
    stop = next((n for n, token in enumerate(ids, 1) if token in asked["stop_token_ids"]), None)
    return {"index": 0, "token_ids": ids[:stop], "finish_reason": "stop" if stop else "length"}


ODD: dict[str, Any] = {
    "beyond": choice([VOCABULARY], "length"),
    "negative": choice([-1]),
    "gives_up": choice([], "error"),
    "list": [1, 2],
    "shapeless": {"choices": "none"},
    "wordy": choice("three"),  # type: ignore[arg-type]
    "strange_error": {"error": "no more"},
}
"""Manners that are one odd event after a good one."""


class BadServer:
    """Listens on 127.0.0.1; `aborted` and `left` hold the request ids that were aborted, or whose client
    closed its connection, `seen` counts requests by manner, and `texts` are the bodies of those for text.
    Of requests over a WebSocket `sent` has how many ids were kept and how many came; `prompts` are all kept.
    `wild` takes no notice of what it is told of sampling, `narrow` refuses what is not OpenAI's own."""

    def __init__(self) -> None:
        self.url, self.aborted, self.left = "", list[str](), list[str]()
        self.seen: Counter[str] = Counter()
        self.texts: list[dict[str, Any]] = []
        self.sent: list[tuple[int, int]] = []
        self.prompts: dict[int, list[int]] = {}
        self.well = True
        self._connections: set[Any] = set()
        self._lines: list[Any] = []

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._lock])
        app.on_shutdown.append(self._hang_up)
        app.router.add_get("/{manner}/health", self._health)
        app.router.add_get("/{manner}/metrics", self._metrics)
        app.router.add_get("/{manner}/v1/models", self._models)
        app.router.add_post("/{manner}/inference/v1/generate", self._generate)
        app.router.add_post("/{manner}/inference/v1/abort_requests", self._abort)
        app.router.add_get("/{manner}/inference/v2/session", self._session)
        app.router.add_post("/{manner}/v1/completions", self._completions)
        return app

    async def _hang_up(self, app: web.Application) -> None:
        for transport in self._lines:
            transport.abort()

    async def _metrics(self, request: web.Request) -> web.Response:
        if request.match_info["manner"] != "page":
            return web.Response(status=404)
        return web.Response(text="<html>Welcome {to} our models!</html>", content_type="text/html")

    async def _health(self, request: web.Request) -> web.Response:
        if request.match_info["manner"] == "heartless":
            request.transport.abort()  # type: ignore[union-attr]
        return web.Response(status=200 if self.well else 503)

    @web.middleware
    async def _lock(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Manners with `locked` in them want a key, except at /health, as vLLM does."""
        manner, key = request.match_info.get("manner", ""), request.headers.get("Authorization")
        if "locked" in manner and not request.path.endswith("/health") and key != f"Bearer {KEY}":
            return web.Response(status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _models(self, request: web.Request) -> web.Response:
        manner = request.match_info["manner"]
        if manner == "nameless":
            return web.json_response({"data": [{"name": "counter"}]})
        names = ["counter", "adapter"] if manner in ("two", "aliases") else ["counter"]
        root = {"root": "checkpoint"} if manner == "aliases" else {}
        return web.json_response({"data": [{"id": name, "max_model_len": 100} | root for name in names]})

    async def _abort(self, request: web.Request) -> web.Response:
        if request.match_info["manner"] == "stubborn":
            return web.Response(status=500)
        ids = (await request.json())["request_ids"]
        self.seen["abort"] += 1
        self.aborted += [name.removeprefix("generate-tokens-") for name in ids]
        return web.Response()

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        manner, body = request.match_info["manner"], await request.json()
        if manner in ("text", "wild", "narrow", "completions", "words"):
            return web.Response(status=403, text="disabled")
        asked = body["sampling_params"] | {"name": body["request_id"], "prompt": body["token_ids"]}
        return await self._answer(request, "good" if asked["name"] == "probe" else manner, asked)

    async def _session(self, request: web.Request) -> web.StreamResponse:
        """Many requests over one WebSocket; only manners that begin with `line_` have it."""
        manner = request.match_info["manner"].removeprefix("line_")
        if manner == request.match_info["manner"]:
            return web.Response(status=404)
        self.seen[f"calls {manner}"] += 1
        if manner == "mute" and self.seen["calls mute"] > 1:
            await asyncio.sleep(60)
        socket = web.WebSocketResponse(autoping=manner != "deaf")
        await socket.prepare(request)
        self._lines.append(request.transport)
        writing: dict[str, asyncio.Task[None]] = {}
        self.prompts = prompts = dict[int, list[int]]()
        async for message in socket:
            if message.type is WSMsgType.PING:
                continue
            asked = json.loads(message.data)
            self.seen["messages"] += 1
            for body in asked["open"]:
                name = body["request_id"]
                if "sample" in body:
                    self.sent.append((body["kept"], len(body["token_ids"])))
                    body["token_ids"] = prompts.get(body["sample"], [])[: body["kept"]] + body["token_ids"]
                    prompts[body["sample"]] = body["token_ids"]
                one = self._write_line(request, socket, "good" if name == "probe" else manner, body)
                writing[name] = asyncio.create_task(one)
            for name in asked["abort"]:
                self.aborted.append(name)
                writing[name].cancel()
            for sample in asked["forget"]:
                del prompts[sample]
        return socket

    async def _write_line(
        self, request: web.Request, socket: web.WebSocketResponse, manner: str, body: dict[str, Any]
    ) -> None:
        name, asked = body["request_id"], body["sampling_params"]
        ids = list(range(body["token_ids"][-1] + 1, body["token_ids"][-1] + 1 + asked["max_tokens"]))
        stop = next((n for n, token in enumerate(ids, 1) if token in asked["stop_token_ids"]), None)
        if manner in ANSWERS:
            await socket.send_json([[name, {"code": ANSWERS[manner], "message": "as asked"}]])
        elif manner == "slow":
            for token in ids:
                await socket.send_json([[name, [token], None, None]])
                await asyncio.sleep(0.005)
            await socket.send_json([[name, [], "length", None]])
        elif manner == "half_json":
            await socket.send_str(f'[["{name}", [1, 2')
        elif manner == "drop":
            await socket.send_json([[name, ids[:1], None, None]])
            request.transport.abort()  # type: ignore[union-attr]
        elif manner in ("hang", "deaf"):
            await socket.send_json([[name, ids[:1], None, None]])
        elif manner in ODD:
            odd = ODD[manner]["choices"][0]
            await socket.send_json([[name, odd["token_ids"], odd["finish_reason"], None]])
        else:
            assert manner in ("good", "locked"), manner
            finish = "stop" if stop else "length"
            await socket.send_json([[name, ids[:1], None, None], ["nobody", [1], None, None]])
            await socket.send_json([[name, ids[1:stop], finish, None] if ids[1:] else [name, [], finish]])

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        manner, body = request.match_info["manner"], await request.json()
        if manner in ("text", "wild", "narrow"):
            if manner == "narrow" and body.keys() - OPENAI:
                return web.Response(status=400, text=f"unknown: {sorted(body.keys() - OPENAI)}")
            self.texts.append(body | {"wild": manner == "wild"})
            if not isinstance(body["prompt"], str):
                return web.Response(status=400, text="text only")
            return await self._write_text(request, body)
        if manner != "completions":
            return web.Response(status=404)
        return await self._answer(request, "good", body | {"name": "", "prompt": body["prompt"]})

    async def _answer(self, request: web.Request, manner: str, asked: dict[str, Any]) -> web.StreamResponse:
        self.seen[manner] += 1
        if manner in ANSWERS:
            return web.Response(status=ANSWERS[manner], text="as asked")
        if manner == "silent":
            await asyncio.sleep(60)
        if manner == "stale":
            if request.transport in self._connections:
                request.transport.abort()  # type: ignore[union-attr]
                return web.Response()
            self._connections.add(request.transport)
        if not asked.get("stream", True):
            self.seen["whole"] += 1
            return web.json_response({"choices": [counted(asked)]})
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await self._stream(request, response, manner, asked)
        except (ConnectionResetError, asyncio.CancelledError):
            self.left.append(asked["name"])
            raise
        return response

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, manner: str, asked: dict[str, Any]
    ) -> None:
        if manner == "late_refusal":
            await send(response, {"error": {"message": "too long", "code": 400}})
            return
        if manner == "obedient":
            # Keeps to a schema of one constant, whose characters are its ids.
            constant = asked["structured_outputs"]["json"]["const"]
            await send(response, choice([ord(character) for character in str(constant)], "length"))
            return
        whole = counted(asked)
        ids, finish = whole["token_ids"], whole["finish_reason"]
        if manner in ("slow", "stubborn"):
            for token in ids:
                if asked["name"] in self.aborted:
                    await send(response, choice([], "abort"))
                    return
                await send(response, choice([token]))
                await asyncio.sleep(0.005)
            await send(response, choice([], "length"))
            return
        if manner == "empty":
            await send(response, choice([], "stop"))
            return
        await send(response, choice(ids[:1]))
        if manner in ("good", "stale", "aliases", "page", "heartless", "locked"):
            await send(response, choice(ids[1:], finish))
            await response.write(b"data: [DONE]\n\n")
        elif manner == "hang":
            await asyncio.sleep(60)
        elif manner == "half_json":
            await response.write(b'data: {"choices": [{"token_ids": [7, \n\n')
        elif manner == "drop":
            request.transport.abort()  # type: ignore[union-attr]
        elif manner in ODD:
            await send(response, ODD[manner])
        else:
            assert manner == "cut", manner

    async def _write_text(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """Writes "one two three ..." in pieces of three characters, and stops before a stop word."""
        words = " one two three four five six seven"[: 3 * body["max_tokens"]]
        if self.texts[-1]["wild"]:
            words = "".join(random.choices("abcdef ", k=3 * body["max_tokens"]))
        ends = [words.find(stop) for stop in body["stop"] if stop in words]
        text = words[: min(ends)] if ends else words
        if not body["stream"]:
            self.seen["whole"] += 1
            return web.json_response(
                {"choices": [{"text": text, "finish_reason": "stop" if ends else "length"}]}
            )
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(text), 3):
            await send(response, {"choices": [{"text": text[start : start + 3], "finish_reason": ""}]})
        await send(response, {"choices": [{"text": None, "finish_reason": "stop" if ends else "length"}]})
        return response


async def send(response: web.StreamResponse, message: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(message).encode() + b"\n\n")


@contextmanager
def bad_server(port: int = 0) -> Iterator[BadServer]:
    """A `BadServer` in a thread of its own."""
    server, ready, stop = BadServer(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        runner = web.AppRunner(server.app(), handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        server.url = "http://{}:{}".format(*runner.addresses[0][:2])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the server did not start")
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
