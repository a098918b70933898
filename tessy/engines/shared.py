"""Servers that stages of one run share: how a stage asks for them, and the run's handle of their keeper.

The keeper (`tessy.engines.keeper`) is a process that the run starts. It listens at a socket in the run's
folder, so that whoever works there finds it, processes that joined included. Where nobody listens (on another
machine that shares the folder, in a test) servers are started here, as long as they are needed.

One line of JSON asks, lines answer, and hanging up gives everything back: a process that dies holds nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.config.engines import EngineSettings
from tessy.engines.command import ServedModel
from tessy.errors import UserError
from tessy.processes import PARENT, python_module
from tessy.records import Role

if TYPE_CHECKING:
    from tessy.engines.launch import Report

SOCKET = ".servers"
"""How keepers' sockets are called; the machine's name follows, since several may share a folder."""
LOGS = "servers"
"""The folder with logs of a run's servers, in the run's folder."""
LINE_BYTES = 1 << 20
PATIENCE_S = 15.0
"""Between asking the keeper to end and killing it: it stops servers."""


Sizes = Mapping[str, int]
"""Bytes by device."""


def summed(many: Iterable[Sizes]) -> dict[str, int]:
    """The bytes of all of them."""
    total: dict[str, int] = {}
    for sizes in many:
        for device, size in sizes.items():
            total[device] = total.get(device, 0) + size
    return total


@dataclass(frozen=True, slots=True)
class Wanted:
    """Servers that a stage needs: `name` is what they are for (a role, or a role's predictor)."""

    name: str
    settings: EngineSettings
    model: ServedModel

    @property
    def title(self) -> str:
        """What a plan calls them (`title_of`)."""
        return title_of(self.name, self.model.source)

    @property
    def fixed(self) -> bool:
        """Whether their memory is known before they start."""
        return any(name.replace("-", "_") == "kv_cache_memory_bytes" for name in self.settings.arguments)

    @property
    def plain(self) -> dict[str, Any]:
        settings = {
            key: value for key, value in self.settings.plain.items() if key in EngineSettings.model_fields
        }
        return {"name": self.name, "settings": settings, "model": asdict(self.model)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Wanted:
        settings = EngineSettings.model_validate(plain["settings"])
        return cls(plain["name"], settings, ServedModel(**plain["model"]))


def title_of(name: str, source: str) -> str:
    """What a plan calls the servers of the checkpoint `source` that are there for `name`."""
    return f"{name} {source}"


def watcher(role: Role) -> str:
    """What the servers of `role`'s boundary predictor are there for."""
    return f"{role}-predictor"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one process asks for at once: `wanted` servers, bytes that it takes itself `beside` them, by
    device, and with `alone` that GPUs have no servers that nobody uses."""

    wanted: Sequence[Wanted] = ()
    beside: Sizes = field(default_factory=dict)
    alone: bool = False

    @property
    def line(self) -> bytes:
        plain = {
            "wanted": [one.plain for one in self.wanted],
            "beside": dict(self.beside),
            "alone": self.alone,
        }
        return json.dumps(plain).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Asked:
        plain = json.loads(line)
        return cls([Wanted.of(one) for one in plain["wanted"]], plain["beside"], plain["alone"])


@asynccontextmanager
async def serving(run: Path, asked: Asked, logs: Path, report: Report) -> AsyncIterator[dict[str, list[str]]]:
    """Base URLs by name of the servers that are asked for: of the run in the folder `run` where its keeper is
    there, otherwise started here, with log files in `logs`. All are well. Raises `UserError`."""
    if not asked.wanted and not asked.beside:
        yield {}
        return
    line = _line_to(run)
    async with AsyncExitStack() as stack:
        if line is not None:
            yield await stack.enter_async_context(_of_the_run(line, asked, report))
        else:
            yield await _started_here(stack, asked.wanted, logs, report)


async def _started_here(
    stack: AsyncExitStack, wanted: Sequence[Wanted], logs: Path, report: Report
) -> dict[str, list[str]]:
    # Imported here, as the run itself uses nothing of it.
    from tessy.engines.launch import servers

    async def started(one: Wanted) -> list[str]:
        return await stack.enter_async_context(servers(one.settings, one.model, one.name, logs, report))

    together = [one for one in wanted if one.fixed]
    found = dict(
        zip((one.name for one in together), await asyncio.gather(*map(started, together)), strict=True)
    )
    # Each takes what it finds free: two that look at the same time take it twice.
    return found | {one.name: await started(one) for one in wanted if not one.fixed}


@asynccontextmanager
async def _of_the_run(
    line: socket.socket, asked: Asked, report: Report
) -> AsyncIterator[dict[str, list[str]]]:
    line.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=line, limit=LINE_BYTES)
    try:
        writer.write(asked.line)
        while True:
            answer = _understood(await reader.readline())
            if "urls" in answer:
                break
            report(answer["say"])
        listening = asyncio.create_task(_pass_on(reader, report))
        try:
            yield answer["urls"]
        finally:
            listening.cancel()
    finally:
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, report: Report) -> None:
    while line := await reader.readline():
        report(json.loads(line)["say"])


def _understood(line: bytes) -> dict[str, Any]:
    if not line:
        raise RuntimeError(
            f"the process that keeps the run's servers has ended; {LOGS}/keeper.log may say why"
        )
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise UserError(answer["error"])
    return answer


def make_room(run: Path) -> None:
    """Have the run in the folder `run` end servers on GPUs that nobody uses at this moment."""
    if (line := _line_to(run)) is None:
        return
    with line, line.makefile("rb") as answers:
        line.sendall(Asked(alone=True).line)
        for answer in answers:
            if "urls" in _understood(answer):
                return


def _line_to(run: Path) -> socket.socket | None:
    """A connection to the keeper of a run in the folder `run` on this machine, if there is one."""
    for socket_file in sorted(run.glob(f"{SOCKET}*")):
        with _near(socket_file) as place:
            line = socket.socket(socket.AF_UNIX)
            with suppress(OSError):
                line.connect(place)
                return line
            line.close()
    return None


def _remove_dead(run: Path, prefix: str) -> None:
    """Remove the sockets of this machine at which nobody listens any more."""
    for socket_file in run.glob(f"{prefix}*"):
        with _near(socket_file) as place, socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(place)
            except ConnectionRefusedError:
                socket_file.unlink(missing_ok=True)
            except OSError:
                pass


@contextmanager
def _near(socket_file: Path) -> Iterator[str]:
    """A short path to the socket, whatever its folder's is: sockets' paths may have 107 bytes."""
    folder = os.open(socket_file.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket_file.name}"
    finally:
        os.close(folder)


class Keeper:
    """The run's handle of the process that keeps servers. `close`, or the end of the run, ends all of
    them."""

    def __init__(self, run: Path, environment: Mapping[str, str]) -> None:
        prefix = f"{SOCKET}-{platform.node()[:32]}-"
        _remove_dead(run, prefix)
        self._socket = run / f"{prefix}{secrets.token_hex(4)}"
        (run / LOGS).mkdir(exist_ok=True)
        # Listening begins before any stage does; only this user may connect.
        with socket.socket(socket.AF_UNIX) as listening, (run / LOGS / "keeper.log").open("ab") as log:
            with _near(self._socket) as place:
                mask = os.umask(0o177)
                try:
                    listening.bind(place)
                finally:
                    os.umask(mask)
            listening.listen(64)
            self._process = subprocess.Popen(
                python_module("tessy.engines.keeper", str(run.absolute()), str(listening.fileno())),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment, PARENT: str(os.getpid())},
                pass_fds=[listening.fileno()],
                # A Ctrl-C is for the run, which then ends this in good order.
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def need(self, titles: Iterable[str]) -> None:
        """From now on only servers with these titles (`title_of`) will still be asked for."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(sorted(set(titles))).encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        with suppress(OSError):
            self._socket.unlink()
