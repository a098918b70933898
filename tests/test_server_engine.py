"""What the server engine makes of servers: good ones, bad ones, and ones that go away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tessy.config.base import Sampler
from tessy.engines import Continuation, EngineFault, Request
from tessy.engines.server import ServerEngine
from tessy.engines.session import MESSAGE_BYTES, _portions
from tessy.errors import UserError
from tests.bad_server import KEY, VOCABULARY, BadServer, bad_server

PATIENCE_S = 0.3


@pytest.fixture(scope="module")
def server() -> Iterator[BadServer]:
    with bad_server() as running:
        yield running


class Words:
    """A codec whose ids are characters, 0 a stop."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Any) -> str:
        return "".join(" five" if token == 0 else chr(token) for token in ids)


@contextmanager
def nobody_at(url: str) -> Iterator[None]:
    """Keep the port of a server that is gone from other tests' servers; it still refuses connections."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", int(url.rpartition(":")[2])))
        yield


@asynccontextmanager
async def engine(*urls: str, **settings: Any) -> AsyncIterator[ServerEngine]:
    settings = {"timeout_s": PATIENCE_S, "vocabulary": VOCABULARY} | settings
    sampling = settings.pop("sampling", Sampler(temperature=0.0))
    connected = await ServerEngine.connect(urls, sampling, **settings)
    try:
        yield connected
    finally:
        await connected.close()


def request(tokens: int = 10, sample: str = "s", start: int = 1, stop: tuple[int, ...] = ()) -> Request:
    return Request(sample, [start], tokens, tuple(stop), "", 4)


def fault(url: str, **settings: Any) -> EngineFault:
    async def ask() -> EngineFault:
        async with engine(url, **settings) as e:
            with pytest.raises(EngineFault) as caught:
                await e.open(request()).finished()
            return caught.value

    return asyncio.run(ask())


@pytest.mark.parametrize("manner", ["line_good", "good", "completions", "aliases", "page", "heartless"])
def test_ids_come_back_with_the_reason_they_end(server: BadServer, manner: str) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/{manner}") as e:
            free = await e.open(request()).finished()
            assert (free.token_ids, free.finish_reason) == (list(range(2, 12)), "length")
            stopped = await e.open(request(stop=(5, 9))).finished()
            assert (stopped.token_ids, stopped.finish_reason) == ([2, 3, 4, 5], "stop")

    asyncio.run(ask())


def test_text_is_encoded_where_its_ids_are_settled(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/text", codec=Words()) as e:
            assert e.accesses[0].way == "text"
            free = await e.open(request(5)).finished()
            assert (Words().decode(free.token_ids), free.finish_reason) == (" one two three ", "length")
            stopped = await e.open(request(20, stop=(0,))).finished()
            assert Words().decode(stopped.token_ids[:-1]) == " one two three four"
            assert (stopped.token_ids[-1], stopped.finish_reason) == (0, "stop")
            many = await e.open(request(20, stop=tuple(map(ord, "QJZKv")))).finished()
            assert Words().decode(many.token_ids) == " one two three four fiv", "servers take four stops"
            assert many.finish_reason == "stop"

    asyncio.run(ask())


def test_a_server_of_texts_is_told_everything_that_decides_what_is_drawn(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(
            f"{server.url}/text", codec=Words(), sampling=Sampler(temperature=0.6, top_p=0.9)
        ) as e:
            await e.open(request(5)).finished()

    asyncio.run(ask())
    neutral = {"min_p": 0, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}
    cuts = {"temperature": 0.6, "top_p": 0.9, "top_k": 0}
    assert server.texts[-1].items() >= (neutral | cuts).items()


@pytest.mark.parametrize(("manner", "codec"), [("completions", None), ("text", Words())])
def test_what_nobody_looks_into_before_its_end_comes_in_one_piece(
    server: BadServer, manner: str, codec: Words | None
) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/{manner}", codec=codec) as e:
            before = server.seen["whole"]
            whole = await e.open(Request("s", [1], 5, (0,), "", 5)).finished()
            streamed = await e.open(Request("s", [1], 5, (0,), "", 1)).finished()
            assert server.seen["whole"] == before + 1
            assert (whole.token_ids, whole.finish_reason) == (streamed.token_ids, "length")

    asyncio.run(ask())


def test_nothing_is_asked_beyond_the_servers_context(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/good") as e:
            long = Request("s", [1] * 95, 20, (), "", 4)
            assert len((await e.open(long).finished()).token_ids) == 5
            full = await e.open(Request("s", [1] * 100, 20, (), "")).finished()
            assert (full.token_ids, full.finish_reason) == ([], "length")

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("busy", "busy"),
        ("rush", "busy"),
        ("broken", "server error"),
        ("hang", "hangs"),
        ("silent", "hangs"),
        ("half_json", "malformed answer"),
        ("cut", "cut off"),
        ("drop", "connection lost"),
        ("empty", "empty answer"),
        ("beyond", "foreign ids"),
        ("negative", "foreign ids"),
        ("gives_up", "ended by the server"),
        ("list", "malformed answer"),
        ("shapeless", "malformed answer"),
        ("wordy", "malformed answer"),
        ("strange_error", "malformed answer"),
        ("line_busy", "busy"),
        ("line_broken", "server error"),
        ("line_hang", "hangs"),
        ("line_half_json", "malformed answer"),
        ("line_drop", "connection lost"),
        ("line_beyond", "foreign ids"),
        ("line_negative", "foreign ids"),
        ("line_gives_up", "ended by the server"),
        ("line_wordy", "malformed answer"),
        ("line_mute", "connection lost"),
    ],
)
def test_what_goes_wrong_becomes_a_fault_that_may_pass(server: BadServer, manner: str, reason: str) -> None:
    found = fault(f"{server.url}/{manner}")
    assert (found.reason, found.unreachable, found.permanent) == (reason, False, False)


@pytest.mark.parametrize("manner", ["refuse", "unknown", "late_refusal", "line_refuse"])
def test_a_refusal_is_permanent(server: BadServer, manner: str) -> None:
    found = fault(f"{server.url}/{manner}")
    assert (found.reason, found.permanent) == ("refused", True)


def test_whoever_waits_when_the_engine_is_closed_is_told(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/silent", timeout_s=5) as e:
            waiting = e.open(request())
            await asyncio.sleep(0.05)
        with pytest.raises(EngineFault, match="given up"):
            await waiting.finished()

    asyncio.run(ask())


def test_every_request_of_many_ends_whatever_the_servers_do(server: BadServer) -> None:
    manners = ["good", "drop", "stale", "broken", "half_json", "hang", "slow", "refuse", "cut"]
    manners += ["line_good", "line_slow", "line_drop", "line_broken", "line_half_json", "line_hang"]

    async def ask() -> None:
        urls = [f"{server.url}/{manner}" for manner in manners]
        async with engine(*urls) as e:
            opened = [e.open(request(10, f"s{n}")) for n in range(200)]
            for continuation in opened[::7]:
                continuation.abort()
            rest = [continuation for n, continuation in enumerate(opened) if n % 7]
            ends = await asyncio.gather(*(c.finished() for c in rest), return_exceptions=True)
            assert {type(found) for found in ends} == {Continuation, EngineFault}
            assert all(c.token_ids == list(range(2, 2 + len(c.token_ids))) for c in opened)
            await asyncio.sleep(0.05)
            assert [replica.open for replica in e._replicas.values()] == [0] * len(urls)

    asyncio.run(ask())


def test_a_closed_idle_connection_is_no_fault(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/stale") as e:
            for _ in range(4):
                assert len((await e.open(request()).finished()).token_ids) == 10

    before = server.seen["stale"]
    asyncio.run(ask())
    assert server.seen["stale"] - before > 4


def test_after_an_abort_nothing_arrives_and_the_server_stops(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/slow", timeout_s=5) as e:
            aborts = server.seen["abort"]
            writing = [e.open(request(90, f"s{n}")) for n in range(8)]
            await asyncio.gather(*(continuation.grown(3) for continuation in writing))
            for continuation in writing:
                continuation.abort()
            kept = [list(continuation.token_ids) for continuation in writing]
            await asyncio.sleep(0.1)
            assert [continuation.token_ids for continuation in writing] == kept
            assert server.seen["abort"] - aborts == 1
            early = e.open(request(90, "early"))
            early.abort()
            await asyncio.sleep(0.05)
            assert early.token_ids == []
            assert sum(replica.open for replica in e._replicas.values()) == 0

    asyncio.run(ask())


def test_one_connection_carries_everything_that_is_asked_and_aborted_at_once(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/line_slow", timeout_s=5) as e:
            assert e.accesses[0].way == "session"
            messages, aborted = server.seen["messages"], len(server.aborted)
            writing = [e.open(request(90, f"s{n}")) for n in range(8)]
            await asyncio.gather(*(continuation.grown(3) for continuation in writing))
            for continuation in writing:
                continuation.abort()
                continuation.abort()
            kept = [list(continuation.token_ids) for continuation in writing]
            await asyncio.sleep(0.1)
            assert [continuation.token_ids for continuation in writing] == kept
            assert server.seen["messages"] - messages == 2
            assert len(server.aborted) - aborted == 8
            assert sum(replica.open for replica in e._replicas.values()) == 0

    asyncio.run(ask())


def test_of_a_prompt_that_the_server_has_only_what_is_new_is_sent(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/line_good", timeout_s=5) as e:
            server.sent.clear()
            prompts = [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 9], [1, 2], [7, 8]]
            for ids in prompts:
                answer = await e.open(replace(request(2), token_ids=ids)).finished()
                assert answer.token_ids[0] == ids[-1] + 1
                # What the caller does with its list afterwards is its own affair.
                ids.clear()
            assert server.sent == [(0, 3), (3, 2), (2, 1), (2, 0), (0, 2)]
            await e.open(replace(request(2), sample_id="other", token_ids=[7, 8, 9])).finished()
            assert server.sent[-1] == (0, 3), "samples have nothing to do with each other"
            assert sorted(server.prompts.values()) == [[7, 8], [7, 8, 9]]
            e.release(request().sample_id)
            await e.open(replace(request(2), token_ids=[7, 8])).finished()
            assert server.sent[-1] == (0, 2), "a sample that was released is not known any more"
            assert sorted(server.prompts.values()) == [[7, 8], [7, 8, 9]]

    asyncio.run(ask())


def test_over_a_new_connection_prompts_are_sent_whole(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/line_drop", timeout_s=5) as e:
            server.sent.clear()
            for ids in ([1, 2, 3], [1, 2, 3, 4]):
                with pytest.raises(EngineFault):
                    await e.open(replace(request(9), token_ids=ids)).finished()
            assert server.sent == [(0, 3), (0, 4)]

    asyncio.run(ask())


def test_a_connection_behind_which_nobody_is_left_is_given_up(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/line_deaf") as e:
            for asked in range(2):
                with pytest.raises(EngineFault):
                    await e.open(request(10)).finished()
                await asyncio.sleep(PATIENCE_S)
                assert server.seen["calls deaf"] == 2 + asked, "one to probe it, one for each request"

    asyncio.run(ask())


def test_messages_are_cut_where_servers_would_refuse_them() -> None:
    bodies = [b"x" * 400_000] * 10 + [b"y"]
    portions = _portions(bodies)
    assert [body for portion in portions for body in portion] == bodies
    assert max(sum(map(len, portion)) for portion in portions) < 2 * MESSAGE_BYTES
    assert len(portions) < 6
    assert _portions([]) == []


def test_where_an_abort_is_not_heard_the_connection_is_closed(server: BadServer) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/stubborn", timeout_s=5) as e:
            writing = e.open(request(90))
            await writing.grown(3)
            left = len(server.left)
            writing.abort()
            await asyncio.sleep(0.1)
            assert len(server.left) == left + 1
            assert len(writing.token_ids) < 20

    asyncio.run(ask())


@pytest.mark.parametrize("manner", ["slow", "line_slow"])
def test_a_server_that_went_away_is_unreachable_until_it_is_back(manner: str) -> None:
    async def ask() -> None:
        with bad_server() as first:
            url, port = f"{first.url}/{manner}", int(first.url.rsplit(":", 1)[1])
            connected = await ServerEngine.connect([url], Sampler(temperature=0.0), timeout_s=PATIENCE_S)
            cut = connected.open(request(90))
            await cut.grown(3)
        for writing in (cut, connected.open(request())):
            with pytest.raises(EngineFault) as caught:
                await writing.finished()
            assert caught.value.unreachable
        assert cut.token_ids == list(range(2, 2 + len(cut.token_ids)))
        with bad_server(port):
            for _ in range(40):
                await asyncio.sleep(0.1)
                if connected._replicas[url].healthy:
                    break
            assert len((await connected.open(request(5)).finished()).token_ids) >= 5
        await connected.close()

    asyncio.run(ask())


def test_samples_move_from_a_replica_that_is_gone_and_only_those(server: BadServer) -> None:
    async def ask() -> None:
        with bad_server() as other:
            urls = [f"{server.url}/good", f"{other.url}/good"]
            # Nothing here has to be waited for, and on a busy machine a good answer may take its time.
            connected = await ServerEngine.connect(urls, Sampler(temperature=0.0), timeout_s=100 * PATIENCE_S)
            await asyncio.gather(*(connected.open(request(5, f"s{n}")).finished() for n in range(20)))
            assert other.seen["good"] > 5
        with nobody_at(other.url):
            lost = await asyncio.gather(
                *(connected.open(request(5, f"s{n}")).finished() for n in range(20)), return_exceptions=True
            )
        faults = [outcome for outcome in lost if isinstance(outcome, EngineFault)]
        assert 0 < len(faults) < 20
        assert all(fault.unreachable for fault in faults)
        await asyncio.gather(*(connected.open(request(5, f"s{n}")).finished() for n in range(20)))
        await connected.close()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("manner", "settings", "message"),
    [
        ("locked", {}, "it wants an API key .HTTP 401.; set api_key_env(?!.*check that)"),
        ("two", {}, "set `model` to one of counter, adapter"),
        ("good", {"model": "other"}, "no model 'other'"),
        ("nameless", {}, "/v1/models does not answer .KeyError"),
        ("text", {}, "no usable way.*HTTP 403: disabled.*text only"),
        ("words", {"codec": Words()}, "no usable way"),
        (
            "wild",
            {"codec": Words(), "sampling": Sampler(temperature=1.0)},
            "as text: it ignores top_k .two answers with top_k 1 differ",
        ),
        ("narrow", {"codec": Words()}, "as text: .*unknown: .'frequency_penalty'"),
        ("text", {"codec": Words(), "logprobs": 8}, "text: no log-probabilities.*entropy or margin"),
        ("good", {"logprobs": 2}, "tokens: .*1 ids, log-probabilities for 0"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_before_anything_starts(
    server: BadServer, manner: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"(?s)^server {server.url}/{manner}: .*{message}"):
        fault(f"{server.url}/{manner}", **settings)


def test_an_address_where_nothing_listens_is_named() -> None:
    with bad_server() as gone:
        url = gone.url
    with pytest.raises(UserError, match=f"{url}.*does not answer"):
        fault(url)


@pytest.mark.parametrize("manner", ["words", "nothing/here"])
def test_the_key_is_in_no_message(server: BadServer, manner: str) -> None:
    with pytest.raises(UserError) as caught:
        fault(f"{server.url}/{manner}", api_key=KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(("manner", "way"), [("locked", "tokens"), ("line_locked", "session")])
def test_the_key_opens_a_locked_server_whatever_the_way_in(server: BadServer, manner: str, way: str) -> None:
    async def ask() -> None:
        async with engine(f"{server.url}/{manner}", api_key=KEY) as e:
            assert (e.model, e.accesses[0].way) == ("counter", way)
            assert (await e.open(request()).finished()).token_ids == list(range(2, 12))

    asyncio.run(ask())
