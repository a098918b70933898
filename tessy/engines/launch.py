"""Starts vLLM servers, and sees to it that none is left behind.

Every server runs under a guard (`tessy.engines.guard`) that ends it with this process, however that dies. A
server that dies is started again at the same address, as often as its settings allow; whoever uses it finds
it unreachable in between.

Not covered: who shares servers (`tessy.engines.keeper`), servers on other machines (name them as
`endpoints`), and one that runs but does not answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tessy.config.engines import EngineSettings
from tessy.engines import guard
from tessy.engines.command import HOST, ServedModel, command, environment, installed_build
from tessy.errors import UserError

LOOK_S = 0.5
"""Between two looks at a server that is starting."""
LOG_LINES = 12
"""Lines from the end of a log that an error quotes."""
CAUSE = re.compile(r"(^|\s)\w*(Error|Exception): ")

Report = Callable[[str], None]


@asynccontextmanager
async def servers(
    settings: EngineSettings, checkpoint: ServedModel, name: str, logs: Path, report: Report
) -> AsyncIterator[list[str]]:
    """Start `settings.replicas` servers of `checkpoint`; gives their base URLs once all are well.

    `name` (a role) names log files in the folder `logs` and lines given to `report`.
    Raises `UserError` where a server does not start.
    """
    fleet = Fleet.of(settings, checkpoint, name, logs / f"{name}-server", report)
    try:
        await fleet.start()
        yield fleet.urls
    finally:
        await fleet.stop()


@dataclass(slots=True, eq=False)
class Fleet:
    """The servers of one model, all alike."""

    settings: EngineSettings
    servers: list[Server]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    def of(
        cls, settings: EngineSettings, checkpoint: ServedModel, name: str, logs: Path, report: Report
    ) -> Fleet:
        """Servers that are not started yet; `logs` is what the names of their log files begin with."""
        build = installed_build()
        logs.parent.mkdir(parents=True, exist_ok=True)
        made = [
            Server(
                f"{name} server {number}",
                command(settings, checkpoint, build, port),
                environment(settings, checkpoint, build, number),
                port,
                logs.with_name(f"{logs.name}-{number}.log"),
                report,
            )
            for number, port in enumerate(free_ports(settings.replicas))
        ]
        return cls(settings, made)

    @property
    def urls(self) -> list[str]:
        return [f"http://{HOST}:{server.port}" for server in self.servers]

    async def start(self) -> None:
        """Start all of them, and start those again that die."""
        starting = [
            asyncio.create_task(server.start(self.settings.start_timeout_s)) for server in self.servers
        ]
        self.tasks += starting
        await asyncio.gather(*starting)
        self.tasks += (asyncio.create_task(server.keep(self.settings)) for server in self.servers)

    async def stop(self) -> None:
        """End all of them, at whatever they are."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(server.stop() for server in self.servers))

    async def well(self) -> bool:
        """Whether all answer, once those that are being started again have come back."""
        for server in self.servers:
            server.left = self.settings.restarts
        began = time.monotonic()
        while not all(await asyncio.gather(*(server.well() for server in self.servers))):
            given_up = any(task.done() for task in self.tasks[-len(self.servers) :])
            if given_up or time.monotonic() - began > self.settings.start_timeout_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True


@dataclass(slots=True, eq=False)
class Server:
    """One server process under its guard."""

    title: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    log: Path
    report: Report
    process: asyncio.subprocess.Process | None = None
    began: int = 0
    """Where in the log the last start begins."""
    left: int = 0
    """Times it will be started again."""

    async def start(self, timeout_s: float) -> None:
        """Start, and return once the server is well; raises `UserError` if it ends or takes too long."""
        with self.log.open("ab") as log:
            self.began = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-IS", guard.__file__, str(os.getpid()), *self.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                # A Ctrl-C is for this process, which then stops the server in good order.
                start_new_session=True,
            )
        self.report(f"{self.title}: starting on port {self.port}, log in {self.log}")
        started = time.monotonic()
        while not await self.well():
            if self.process.returncode is not None:
                raise self._failure(f"ended with status {self.process.returncode} while starting")
            if time.monotonic() - started > timeout_s:
                await self.stop()
                raise self._failure(
                    f"was not ready after {timeout_s:g} s; raise start_timeout_s if it was busy"
                )
            await asyncio.sleep(LOOK_S)
        self.report(f"{self.title}: ready after {time.monotonic() - started:.0f} s")

    async def keep(self, settings: EngineSettings) -> None:
        """Start the server again whenever it dies, as often as `settings` allow."""
        self.left = settings.restarts
        while True:
            assert self.process is not None
            status = await self.process.wait()
            _kill_session(self.process.pid)
            self.report(
                f"{self.title}: died with status {status}; {self.left} restarts left, log in {self.log}"
            )
            if not self.left:
                return
            self.left -= 1
            try:
                await self.start(settings.start_timeout_s)
            except UserError as error:
                self.report(str(error))

    async def stop(self) -> None:
        """End the server and everything it started."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), guard.GRACE_S + 5)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        _kill_session(self.process.pid)

    async def well(self) -> bool:
        """Whether it answers."""
        timeout = aiohttp.ClientTimeout(LOOK_S * 4)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://{HOST}:{self.port}/health") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _failure(self, what: str) -> UserError:
        with self.log.open("rb") as log:
            log.seek(self.began)
            lines = log.read().decode(errors="replace").splitlines()
        # Several processes report one failure one after another; the first one's error is the cause.
        cause = [line for line in lines if CAUSE.search(line)][:1]
        return UserError("\n".join([f"{self.title} {what}; from {self.log}:", *cause, *lines[-LOG_LINES:]]))


def _kill_session(leader: int) -> None:
    """Kill what is left of a guard's session: nothing, unless the guard itself was killed."""
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes end while one looks.
        with suppress(OSError):
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(int(folder.name), signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports nobody uses; held open until all are found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
