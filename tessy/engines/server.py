"""One model behind one or many vLLM servers, over HTTP.

`ServerEngine.connect` finds out what each server offers and takes the best way in (`tessy.engines.codec`).
Over the project's own endpoint one connection carries all requests (`tessy.engines.session`). Otherwise a
request is one task that reads one stream. An abort goes out as its own request, all aborts of a moment
together, and the stream is read to its end so that its connection can be used again; where the server
knows no abort, the connection is closed, which ends the work too.

Errors become an `EngineFault`; retries are left to the caller. Only a keep-alive connection that the
server had closed in the meantime is replaced without an error. A server that no longer answers gets no
samples until it does.

Not covered: starting servers (`tessy.engines.launch`), retries (`tessy.synthesis`).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar, cast

import aiohttp

from tessy.config.base import Sampler
from tessy.engines import (
    Continuation,
    EngineFault,
    EngineStats,
    FinishReason,
    Request,
)
from tessy.engines.affinity import choose
from tessy.engines.codec import (
    ABORT_PATH,
    PATHS,
    WAYS,
    Codec,
    Continued,
    Piece,
    Way,
    abort_body,
    dialogue,
    events,
    fault_of,
)
from tessy.engines.enginecore import named
from tessy.engines.metrics import scrape
from tessy.engines.probe import Access, find_access
from tessy.engines.session import SessionClient
from tessy.errors import described

T = TypeVar("T")
KEEP_ALIVE_S = 2.0
"""Idle connections are dropped before vLLM drops them (5 s)."""
RETURN_S = (0.25, 15.0)
"""First and longest pause between two looks at a server that does not answer."""
HEALTH_S = 5.0
"""How long a server may take to say that it is well, or to take note of an abort."""


@dataclass(slots=True, eq=False)
class _Replica:
    """One server, the number of its open requests, and whether it answers."""

    access: Access
    line: SessionClient | None
    open: int = 0
    healthy: bool = True
    aborts: list[_Stream] = field(default_factory=list)
    check: asyncio.Task[bool] | None = None

    def leave(self) -> None:
        """Remove one open request."""
        self.open -= 1


@dataclass(slots=True, eq=False)
class _Stream:
    """An active request. `live` until it has finished, failed or been aborted."""

    name: str
    request: Request
    replica: _Replica
    continuation: Continuation = field(init=False)
    task: asyncio.Task[None] | None = None
    live: bool = True
    started: bool = False


class ServerEngine:
    """Continues token ids on the servers in `accesses`; made by `connect`.

    `max_length` is the longest context of all of them, `model` what they call the model.
    """

    def __init__(
        self,
        accesses: Sequence[Access],
        sampling: Sampler,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        codec: Codec | None,
        vocabulary: int | None,
    ) -> None:
        self.sampling, self.accesses = sampling, tuple(accesses)
        self.model = accesses[0].model
        self.max_length = min(access.max_length or sys.maxsize for access in accesses)
        self._session = _session(headers, keepalive_timeout=KEEP_ALIVE_S)
        self._fresh = _session(headers, force_close=True)
        self._timeout_s, self._codec = timeout_s, codec
        self._vocabulary = vocabulary or sys.maxsize
        self._replicas = {access.url: _Replica(access, self._line(access)) for access in accesses}
        self._client, self._numbers = uuid.uuid4().hex, itertools.count()
        self._samples, self._sample_numbers = dict[str, int](), itertools.count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._before = EngineStats()

    @classmethod
    async def connect(
        cls,
        endpoints: Sequence[str],
        sampling: Sampler,
        *,
        timeout_s: float,
        model: str | None = None,
        api_key: str | None = None,
        codec: Codec | None = None,
        vocabulary: int | None = None,
        ways: Sequence[Way] = WAYS,
        logprobs: int = 0,
    ) -> Self:
        """Reach all `endpoints` (base URLs); raises `UserError` where one cannot be used.

        `timeout_s` is how long a request may go without a new token, waiting in the server's queue
        included; `model` is needed where a server serves several; `codec` where one takes only text;
        ids from `vocabulary` on are refused; `logprobs` is the most a request will ask for. The first of
        `ways` that works is taken.
        """
        headers = {"Content-Type": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        async with _session(headers) as session:
            accesses = await find_access(session, endpoints, model, sampling, codec, ways, logprobs)
        engine = cls(accesses, sampling, headers, timeout_s=timeout_s, codec=codec, vocabulary=vocabulary)
        engine._before = await engine._counted()
        return engine

    def open(self, request: Request) -> Continuation:
        room = min(request.max_tokens, self.max_length - len(request.token_ids))
        if room < request.max_tokens:
            request = replace(request, max_tokens=room)
        able = {url: replica.open for url, replica in self._replicas.items() if replica.healthy}
        if room < 1 or not able:
            return _closed(able)
        return self._open_on(self._replicas[choose(request.sample_id, able)], request)

    def open_on_each(self, request: Request) -> list[Continuation]:
        """The same request to every server, to find out what each of them can do."""
        return [self._open_on(replica, request) for replica in self._replicas.values()]

    def _open_on(self, replica: _Replica, request: Request) -> Continuation:
        name = named(self._client, self._sample(request.sample_id), next(self._numbers))
        stream = _Stream(name, request, replica)
        stream.continuation = Continuation(lambda: self._abort(stream))
        replica.open += 1
        if replica.line is not None:
            self._ask(replica.line, stream)
        else:
            stream.task = self._spawn(self._run(stream))
            stream.task.add_done_callback(lambda _: replica.leave())
        return stream.continuation

    def release(self, sample_id: str) -> None:
        """Forget the sample's prompt. A server evicts its cache by itself, the oldest first."""
        if (number := self._samples.pop(sample_id, None)) is not None:
            for replica in self._replicas.values():
                if replica.line is not None:
                    replica.line.forget(number)

    def _sample(self, sample_id: str) -> int:
        """The number by which servers know a sample."""
        if sample_id not in self._samples:
            self._samples[sample_id] = next(self._sample_numbers)
        return self._samples[sample_id]

    async def stats(self) -> EngineStats:
        """Counts of all clients since this engine was connected; zero for servers without metrics."""
        now, before = await self._counted(), self._before
        # A restarted server counts from zero.
        return EngineStats(
            max(0, now.prefix_tokens - before.prefix_tokens),
            max(0, now.prefix_hits - before.prefix_hits),
            now.kv_tokens,
        )

    async def _counted(self) -> EngineStats:
        found = await asyncio.gather(*(scrape(self._session, access.url) for access in self.accesses))
        held = [stats.kv_tokens for stats in found if stats.kv_tokens]
        return EngineStats(
            sum(stats.prefix_tokens for stats in found),
            sum(stats.prefix_hits for stats in found),
            sum(held) or None,
        )

    async def close(self) -> None:
        """End what is open, then the connections."""
        for replica in self._replicas.values():
            if replica.line is not None:
                await replica.line.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
        await self._fresh.close()

    def _line(self, access: Access) -> SessionClient | None:
        if access.way != "session":
            return None
        return SessionClient(self._session, access.url + PATHS["session"], self._timeout_s)

    def _ask(self, line: SessionClient, stream: _Stream) -> None:
        def hear(piece: Piece) -> None:
            self._deliver(stream, piece)
            if not stream.live:
                stream.replica.leave()

        def fail(fault: EngineFault) -> None:
            stream.replica.leave()
            self._spawn(self._fail(stream, fault))

        access, request = stream.replica.access, stream.request
        sample = self._sample(request.sample_id)
        continued = Continued(sample, line.kept(sample, request.token_ids))
        asked = dialogue(
            access.way, request, stream.name, access.model, self.sampling, self._codec, continued
        )
        line.ask(stream.name, asked.body, hear, fail)

    async def _run(self, stream: _Stream) -> None:
        """Read `stream` to its end; any error becomes a fault of its continuation."""
        try:
            await self._converse(stream)
        except EngineFault as fault:
            await self._fail(stream, fault)
        except aiohttp.ClientError as error:
            await self._fail(stream, EngineFault("connection lost", described(error)))
        except TimeoutError:
            await self._fail(stream, EngineFault("hangs", f"no token for {self._timeout_s:g} s"))
        except (Exception, asyncio.CancelledError) as error:
            # Closed, or a fault of this program: end the continuation, or its caller would wait forever.
            if stream.live:
                stream.continuation.fail(EngineFault("given up", described(error)))
            raise

    async def _converse(self, stream: _Stream) -> None:
        access = stream.replica.access
        asked = dialogue(access.way, stream.request, stream.name, access.model, self.sampling, self._codec)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s) as patience:
            async with await self._post(access.url + PATHS[access.way], asked.body) as response:
                if response.status != 200:
                    raise fault_of(response.status, await response.text(errors="replace"))
                if asked.whole:
                    self._deliver(stream, asked.read(await response.read()))
                rest = b""
                async for data in response.content.iter_any():
                    patience.reschedule(loop.time() + self._timeout_s)
                    stream.started = True
                    if not stream.live:
                        continue
                    lines, _, rest = (rest + data).rpartition(b"\n")
                    for event in events(lines):
                        self._deliver(stream, asked.read(event))
        if stream.live:
            raise EngineFault("cut off", "the answer ended without a reason")

    async def _post(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        try:
            return await self._session.post(url, data=body)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # The server had closed this idle connection; that does not mean that it is down.
            return await self._fresh.post(url, data=body)

    def _deliver(self, stream: _Stream, piece: Piece) -> None:
        token_ids, finish, logprobs = piece
        if not stream.live or not (token_ids or finish):
            return
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self._vocabulary:
            raise EngineFault("foreign ids", f"{token_ids} with a vocabulary of {self._vocabulary}")
        if finish not in (None, "stop", "length"):
            raise EngineFault("ended by the server", f"finish_reason {finish}")
        if finish and not token_ids and not stream.continuation.token_ids:
            raise EngineFault("empty answer", f"finish_reason {finish} without a token")
        stream.live = finish is None
        stream.continuation.push(token_ids, cast("FinishReason | None", finish), logprobs)

    async def _fail(self, stream: _Stream, fault: EngineFault) -> None:
        """Fail the continuation, and check the server's health if it may be down."""
        if not (fault.permanent or fault.reason == "busy"):
            fault.unreachable = not await self._answers(stream.replica)
        if stream.live:
            stream.live = False
            stream.continuation.fail(fault)

    def _abort(self, stream: _Stream) -> None:
        if not stream.live:
            return
        stream.live = False
        replica = stream.replica
        if replica.line is not None:
            replica.line.abort(stream.name)
            replica.leave()
            return
        assert stream.task is not None
        # A server that has not begun to answer may not know the request yet, and would miss its abort.
        if replica.access.way != "tokens" or not stream.started:
            stream.task.cancel()
            return
        if not replica.aborts:
            asyncio.get_running_loop().call_soon(lambda: self._spawn(self._send_aborts(replica)))
        replica.aborts.append(stream)

    async def _send_aborts(self, replica: _Replica) -> None:
        streams, replica.aborts = replica.aborts, []
        body = abort_body([stream.name for stream in streams])
        try:
            async with asyncio.timeout(HEALTH_S):
                async with await self._post(replica.access.url + ABORT_PATH, body) as response:
                    aborted = response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            aborted = False
        if not aborted:
            for stream in streams:
                assert stream.task is not None
                stream.task.cancel()

    async def _answers(self, replica: _Replica) -> bool:
        """Whether `replica` is healthy; concurrent callers share one health check."""
        if replica.check is None or replica.check.done():
            replica.check = self._spawn(self._look(replica))
        return await asyncio.shield(replica.check)

    async def _look(self, replica: _Replica) -> bool:
        url = replica.access.url + replica.access.health
        try:
            async with self._session.get(url, timeout=aiohttp.ClientTimeout(HEALTH_S)) as response:
                well = response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            well = False
        if replica.healthy and not well:
            self._spawn(self._await_return(replica))
        replica.healthy = well
        return well

    async def _await_return(self, replica: _Replica) -> None:
        pause, longest = RETURN_S
        while not replica.healthy:
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, longest)
            await self._answers(replica)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _session(headers: Mapping[str, str], **connector: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, **connector),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        headers=headers,
    )


def _closed(able: Mapping[str, int]) -> Continuation:
    """An empty, finished continuation: no server is left, or the context is full."""
    continuation = Continuation()
    if able:
        continuation.push((), "length")
    else:
        continuation.fail(EngineFault("unreachable", "no server answers", unreachable=True))
    return continuation
