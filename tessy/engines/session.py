"""The client's end of one WebSocket that carries all requests to one server (`tessy.engines.endpoint`).

Requests and aborts of one pass of the event loop are sent in one message. Of a sample that the server has
seen over this connection only ids that are new are sent. A broken connection fails all open requests; the
next request opens a new one. Not covered: health checks and retries.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import aiohttp

from tessy.engines import EngineFault
from tessy.engines.codec import Piece, fault_of
from tessy.errors import described

MESSAGE_BYTES = 1 << 20
"""Servers refuse messages that are much longer (uvicorn: 16 MiB)."""
SAMPLES = 4096
"""Samples of which both ends keep the last prompt."""


@dataclass(slots=True)
class _Call:
    """An active request: its callbacks, and the time of its last message (event loop's seconds)."""

    hear: Callable[[Piece], None]
    fail: Callable[[EngineFault], None]
    heard: float


class SessionClient:
    """All requests to the server at the WebSocket address `url`.

    A request that hears nothing for `timeout_s` fails.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float) -> None:
        self._session, self._url, self._timeout_s = session, url, timeout_s
        self._calls: dict[str, _Call] = {}
        self._opening: list[bytes] = []
        self._aborting: list[str] = []
        self._forgetting: list[int] = []
        self._prompts: dict[int, list[int]] = {}
        self._talking: asyncio.Task[None] | None = None
        self._some = asyncio.Event()

    def ask(
        self, name: str, body: bytes, hear: Callable[[Piece], None], fail: Callable[[EngineFault], None]
    ) -> None:
        """Open the request `body`, called `name`: `hear` gets its pieces up to one with a finish reason,
        or `fail` one fault and nothing after it. A fault that `hear` raises is the request's."""
        self._calls[name] = _Call(hear, fail, asyncio.get_running_loop().time())
        self._opening.append(body)
        self._some.set()
        if self._talking is None or self._talking.done():
            self._talking = asyncio.create_task(self._talk())

    def kept(self, sample: int, ids: Sequence[int]) -> int:
        """How many of the first `ids` the server will have of the sample when it reads the next request; from
        then on it has all."""
        ids, before = list(ids), self._prompts.pop(sample, [])
        self._prompts[sample] = ids
        if sample in self._forgetting:
            self._forgetting.remove(sample)
        if len(self._prompts) > SAMPLES:
            self.forget(next(iter(self._prompts)))
        return _shared(before, ids)

    def forget(self, sample: int) -> None:
        """The sample's prompts are needed no more, on either end."""
        if self._prompts.pop(sample, None) is not None:
            self._forgetting.append(sample)

    def abort(self, name: str) -> None:
        """Abort the request `name`."""
        if self._calls.pop(name, None) is not None:
            self._aborting.append(name)
            self._some.set()

    async def close(self) -> None:
        """Close the connection."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)

    async def _talk(self) -> None:
        """Keep the connection open until it breaks; then fail all open requests."""
        fault = EngineFault("connection lost", "the server hung up")
        helpers: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                # Pings detect a peer that is gone although the connection never broke.
                socket = await self._session.ws_connect(self._url, max_msg_size=0, heartbeat=self._timeout_s)
            async with socket:
                helpers = [asyncio.create_task(work) for work in (self._send(socket), self._watch())]
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.ERROR:
                        raise EngineFault("connection lost", described(message.data))
                    self._hear(message.data)
        except EngineFault as error:
            fault = error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = EngineFault("connection lost", described(error))
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            calls, self._calls = self._calls, {}
            self._opening, self._aborting, self._forgetting = [], [], []
            self._prompts.clear()
            for call in calls.values():
                call.fail(fault)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(0)
            self._some.clear()
            opening, self._opening = self._opening, []
            ended = {"abort": self._aborting, "forget": self._forgetting}
            self._aborting, self._forgetting = [], []
            portions = _portions(opening) or [[]]
            for number, bodies in enumerate(portions, 1):
                rest = json.dumps(ended if number == len(portions) else {"abort": [], "forget": []})[1:]
                await socket.send_bytes(b'{"open":[%s],%s' % (b",".join(bodies), rest.encode()))

    async def _watch(self) -> None:
        """Fail requests that have waited for too long."""
        while True:
            await asyncio.sleep(self._timeout_s / 4)
            late = asyncio.get_running_loop().time() - self._timeout_s
            for name, call in [(name, call) for name, call in self._calls.items() if call.heard < late]:
                self.abort(name)
                call.fail(EngineFault("hangs", f"no token for {self._timeout_s:g} s"))

    def _hear(self, data: Any) -> None:
        try:
            news = [(name, _piece(*rest)) for name, *rest in json.loads(data)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineFault("malformed answer", f"{error!r} in {str(data)[:200]!r}") from None
        now = asyncio.get_running_loop().time()
        for name, piece in news:
            if (call := self._calls.get(name)) is not None:
                call.heard = now
                self._pass_on(name, call, piece)

    def _pass_on(self, name: str, call: _Call, piece: Piece | EngineFault) -> None:
        if isinstance(piece, EngineFault):
            del self._calls[name]
            call.fail(piece)
            return
        if piece.finish:
            del self._calls[name]
        try:
            call.hear(piece)
        except EngineFault as fault:
            self.abort(name)
            call.fail(fault)


def _piece(ids: Any, finish: str | None = None, logprobs: Any = None) -> Piece | EngineFault:
    if isinstance(ids, dict):
        return fault_of(int(ids["code"]), str(ids["message"]))
    # `index` lets nothing pass that is no integer, at the speed of C.
    given = [sorted(map(float, place), reverse=True) for place in logprobs or ()]
    return Piece([*map(index, ids)], finish, given)


def _shared(before: list[int], ids: list[int]) -> int:
    """How many leading ids are the same."""
    # Nearly always all: comparing slices costs a tenth of comparing one by one.
    if ids[: len(before)] == before:
        return len(before)
    return next((n for n, pair in enumerate(zip(before, ids, strict=False)) if pair[0] != pair[1]), len(ids))


def _portions(bodies: list[bytes]) -> list[list[bytes]]:
    """`bodies` grouped into messages of limited length."""
    ends = itertools.accumulate(map(len, bodies))
    by_message = itertools.groupby(zip(ends, bodies, strict=True), lambda pair: pair[0] // MESSAGE_BYTES)
    return [[body for _, body in group] for _, group in by_message]
