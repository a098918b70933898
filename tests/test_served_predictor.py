"""What becomes of a predictor's server that is not what it should be, and of one that fails meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tessy.engines import EngineFault
from tessy.errors import UserError
from tests.predictor_model import make_predictor

pytestmark = pytest.mark.slow
WINDOW = 16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_predictor(tmp_path_factory.mktemp("predictor"))


class Server:
    """Calls every token style; `manner` says what it does instead, `later` what after its first answer."""

    def __init__(self, manner: str = "", later: str = "", name: str = "a") -> None:
        self.manner, self.later, self.name = manner, later, name

    async def models(self, request: web.Request) -> web.Response:
        if self.manner == "locked":
            return web.Response(status=401)
        names = ["a", "b"] if self.manner == "two" else [self.name]
        return web.json_response({"data": [{"id": name} for name in names]})

    async def pooling(self, request: web.Request) -> web.Response:
        asked = await request.json()
        (ids,), manner = asked["input"], self.manner
        self.manner = self.later
        if asked["model"] not in (self.name, "b"):
            return web.Response(status=404, text="no such model")
        if manner.isdigit():
            return web.Response(status=int(manner), text="so it is")
        if manner == "gone":
            assert request.transport is not None
            request.transport.abort()
        if manner == "half":
            return web.json_response(text='{"data": [{"da')
        if manner == "silent":
            await asyncio.sleep(0.6)
        pair = [0.2, 0.3, 0.5] if manner == "three" else [0.1, 0.9]
        return web.json_response({"data": [{"data": [pair] * (len(ids) - (manner == "short"))}]})


async def connected(
    checkpoint: Path,
    servers: Server | Sequence[Server],
    use: Callable[[Any], Awaitable[Any]],
    url: str = "",
    **settings: Any,
) -> Any:
    from tessy.boundary.served import ServedPredictor

    app = web.Application()
    several = servers if isinstance(servers, Sequence) else [servers]
    for number, server in enumerate(several):
        app.router.add_get(f"/{number}/v1/models", server.models)
        app.router.add_post(f"/{number}/pooling", server.pooling)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here = "http://{}:{}".format(*runner.addresses[0][:2])
    addresses = [url] if url else [f"{here}/{number}/v1" for number in range(len(several))]
    try:
        predictor = await ServedPredictor.connect(
            str(checkpoint), "student", WINDOW, addresses, timeout_s=0.3, **settings
        )
        try:
            return await use(predictor)
        finally:
            await predictor.close()
    finally:
        await runner.cleanup()


async def labels(predictor: Any) -> Any:
    return await predictor.foreign("s", "okay then", " so x = 2")


def test_labels_are_what_the_server_says(checkpoint: Path) -> None:
    found = asyncio.run(connected(checkpoint, Server(), labels))
    assert len(found) >= 4
    assert not any(foreign for _, foreign in found)


def test_servers_that_call_it_differently_are_asked_by_their_own_names(checkpoint: Path) -> None:
    async def twice(predictor: Any) -> Any:
        return [await labels(predictor), await labels(predictor)]

    one, two = asyncio.run(connected(checkpoint, [Server(), Server(name="other")], twice))
    assert one == two


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("404", "HTTP 404.*--runner pooling`$"),
        ("three", "malformed answer.*two-label"),
        ("short", "14 labels for 15 ids"),
        ("gone", "--runner pooling"),
        ("two", "set `model` to one of a, b"),
        ("locked", "wants an API key .HTTP 401.; set api_key_env(?!.*check that)"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_before_anything_starts(
    checkpoint: Path, manner: str, said: str
) -> None:
    with pytest.raises(UserError, match=f"(?s)server http.*{said}"):
        asyncio.run(connected(checkpoint, Server(manner), labels))


def test_an_address_where_nothing_listens_is_named(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="does not answer"):
        asyncio.run(connected(checkpoint, Server(), labels, "http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("later", "unreachable", "permanent"),
    [
        ("503", False, False),
        ("400", False, True),
        ("gone", True, False),
        ("short", False, False),
        ("half", False, False),
        ("silent", False, False),
    ],
)
def test_what_goes_wrong_later_is_a_fault(
    checkpoint: Path, later: str, unreachable: bool, permanent: bool
) -> None:
    with pytest.raises(EngineFault) as caught:
        asyncio.run(connected(checkpoint, Server("", later), labels))
    fault = caught.value
    assert (fault.reason, fault.unreachable, fault.permanent) == ("predictor", unreachable, permanent)


def test_a_classifier_with_three_labels_is_refused_wherever_it_runs(tmp_path: Path) -> None:
    from tessy.boundary.predictor import BoundaryPredictor

    three = make_predictor(tmp_path, labels=3)
    with pytest.raises(UserError, match="3 labels; a boundary predictor has 2"):
        BoundaryPredictor(str(three), "student", WINDOW)
    with pytest.raises(UserError, match="3 labels; a boundary predictor has 2"):
        asyncio.run(connected(three, Server(), labels))
