"""Servers are started, watched, started again and stopped; what fails says why. The servers are toys."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tessy.engines.launch import Server, _cores, free_ports
from tessy.engines.settings import EngineSettings
from tessy.errors import UserError
from tests.processes import descendants, end

WELL = """
import http.server, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
os.fork()
http.server.HTTPServer.allow_reuse_port = True
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""
DEAD = "print('ValueError: no such model', *range(99), 'bye', sep='\\n'); raise SystemExit(4)"
DEAF = "import time; time.sleep(60)"
SETTINGS = EngineSettings(kind="server", restarts=1, start_timeout_s=5)


@asynccontextmanager
async def server(folder: Path, program: str, said: list[str]) -> AsyncIterator[Server]:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", program, str(port)]
    started = Server("toy", command, dict(os.environ), port, folder / "toy.log", said.append)
    try:
        yield started
    finally:
        await started.stop()


def test_a_server_is_well_once_started_and_gone_once_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        said: list[str] = []
        async with server(tmp_path, WELL, said) as toy:
            await toy.start(5)
            assert toy.process is not None
            family = descendants(toy.process.pid)
            assert len(family) == 2
        assert end(family)
        assert "ready after" in said[-1]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (DEAD, r"(?s)ended with status 4.*no such model\n88\n.*bye"),
        (DEAF, "not ready after 0.5 s.*start_timeout_s"),
    ],
)
def test_a_server_that_does_not_start_says_why(tmp_path: Path, program: str, message: str) -> None:
    async def run() -> None:
        async with server(tmp_path, program, []) as toy:
            with pytest.raises(UserError, match=message):
                await toy.start(0.5 if program == DEAF else 5)

    asyncio.run(run())


def test_nothing_is_left_where_the_guard_itself_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        async with server(tmp_path, WELL, []) as toy:
            await toy.start(5)
            assert toy.process is not None
            family = descendants(toy.process.pid)
            keeper = asyncio.create_task(toy.keep(EngineSettings(kind="server", restarts=0)))
            toy.process.kill()
            await keeper
            assert end(family)

    asyncio.run(run())


def test_a_server_that_dies_is_started_again_as_often_as_allowed(tmp_path: Path) -> None:
    async def run() -> None:
        said: list[str] = []
        async with server(tmp_path, WELL, said) as toy:
            await toy.start(5)
            keeper = asyncio.create_task(toy.keep(SETTINGS))
            for left in (1, 0):
                while "ready after" not in said[-1]:
                    await asyncio.sleep(0.05)
                assert toy.process is not None
                os.kill(descendants(toy.process.pid)[0], signal.SIGKILL)
                while not any(f"{left} restarts left" in line for line in said):
                    await asyncio.sleep(0.05)
            await keeper

    asyncio.run(run())


@pytest.mark.parametrize(("device", "cores"), [("0", 1), ("0-3", 4), ("1,4-5", 3), ("10-11", 2)])
def test_cores_of_a_device_are_counted(device: str, cores: int) -> None:
    assert _cores(device) == cores


@pytest.mark.parametrize("device", ["cuda:0", "", "1-", "0;1"])
def test_what_is_no_list_of_cores_is_named(device: str) -> None:
    with pytest.raises(UserError, match=f"devices '{device}'.*list of cores"):
        _cores(device)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "embedded", "endpoints": ["http://x"]}, "need kind 'server'"),
        ({"kind": "server", "api_key_env": "KEY"}, "belong to `endpoints`"),
        ({"kind": "server", "endpoints": ["http://x"], "replicas": 2}, "`replicas` are servers to start"),
        ({"kind": "server", "endpoints": ["http://x"], "arguments": {"dtype": "auto"}}, "no effect"),
        ({"kind": "server", "replicas": 2, "devices": ["0"]}, "1 devices for 2 replicas"),
        ({"kind": "server", "arguments": {"max-model-len": 5}}, "max_model_len follow from the recipe"),
    ],
)
def test_settings_without_effect_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineSettings.model_validate(settings)
