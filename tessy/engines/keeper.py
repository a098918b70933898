"""Keeps a run's vLLM servers: `python -m tessy.engines.keeper RUN_FOLDER SOCKET_FD`, started by `tessy run`.

A stage asks for servers (`tessy.engines.shared`). Whatever runs with the same checkpoint and arguments is
given to it; the rest is started, after servers that nobody uses have made room where memory is short. What
the plan no longer needs is ended, as its standard input says. All servers end with this process, and it ends
with the run.

Requests are served one after another, each as a whole, so no two stages can hold what the other one waits
for. Not covered: memory of processes that ask for nothing here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.engines.command import installed_build
from tessy.engines.devices import Devices, devices_here
from tessy.engines.launch import Fleet, Report
from tessy.engines.needs import footprint
from tessy.engines.shared import LOGS, Asked, Sizes, Wanted, summed
from tessy.errors import UserError
from tessy.processes import die_with_parent

Make = Callable[[Wanted, Report], Fleet]


@dataclass(eq=False)
class User:
    """A process that asked, and what it takes beside the servers it uses."""

    writer: asyncio.StreamWriter
    beside: Sizes = field(default_factory=dict)

    def tell(self, **message: Any) -> None:
        if not self.writer.is_closing():
            self.writer.write(json.dumps(message).encode() + b"\n")


@dataclass(eq=False)
class Kept:
    """Servers, who uses them, their bytes, and when they were last used (monotonic seconds)."""

    wanted: Wanted
    sizes: Sizes
    users: set[User]
    fleet: Fleet | None = None
    used: float = 0.0

    def say(self, text: str) -> None:
        print(text, flush=True)
        for user in self.users:
            user.tell(say=text)

    def suits(self, wanted: Wanted) -> bool:
        """Whether they are what is `wanted`, if they are well."""
        same = _terms(self.wanted) == _terms(wanted)
        return same and self.wanted.model.max_length >= wanted.model.max_length


def _terms(wanted: Wanted) -> tuple[object, ...]:
    """What two that share servers must agree in."""
    settings = wanted.settings
    return wanted.title, wanted.model.revision, settings.arguments, settings.devices, settings.replicas


def to_end(
    idle: Sequence[tuple[Sizes, bool]], busy: Sequence[Sizes], wanted: Sizes, capacity: Sizes
) -> list[int] | None:
    """Which of the `idle` servers have to end so that what is `wanted` fits beside the `busy`; None where it
    will only fit once something busy has ended, too. Pure.

    An idle one is given by its bytes and whether the plan still needs it, the one unused longest first. Those
    the plan does not need go first. Where nothing is busy, it is tried whether it fits or not: sizes are
    estimates.
    """
    ending: list[int] = []

    def over(device: str) -> bool:
        kept = [sizes for number, (sizes, _) in enumerate(idle) if number not in ending]
        held = sum(sizes.get(device, 0) for sizes in (*kept, *busy))
        return held + wanted[device] > capacity.get(device, sys.maxsize)

    for number in sorted(range(len(idle)), key=lambda number: idle[number][1]):
        if any(over(device) for device in idle[number][0] if device in wanted):
            ending.append(number)
    short = [device for device in wanted if over(device)]
    return None if any(device in sizes for device in short for sizes in busy) else sorted(ending)


class Keeping:
    """All servers of a run. `make` builds those that are wanted, `devices` is what they run on, if known."""

    def __init__(self, make: Make, devices: Devices | None) -> None:
        self._make, self._devices = make, devices
        self._kept: list[Kept] = []
        self._users: set[User] = set()
        self._needed: frozenset[str] | None = None
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one process, and take back what it was given once it hangs up."""
        user = User(writer)
        if not (line := await reader.readline()):
            writer.close()
            return
        gone = asyncio.create_task(reader.read())
        answer = asyncio.create_task(self._answer(user, Asked.of(line)))
        self._users.add(user)
        try:
            await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                answer.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)
        finally:
            gone.cancel()
            self._users.discard(user)
            for kept in self._kept:
                if user in kept.users:
                    kept.users.discard(user)
                    kept.used = time.monotonic()
            self._changed.set()
            writer.close()
        await self._tidy()

    async def need(self, titles: frozenset[str]) -> None:
        """End what is unused and not among `titles`, now and whenever it gets so."""
        self._needed = titles
        await self._tidy()

    async def close(self) -> None:
        await asyncio.gather(*(self._end(kept) for kept in list(self._kept)))

    async def _answer(self, user: User, asked: Asked) -> None:
        try:
            async with self._turn:
                found = await self._given(user, asked)
        except UserError as error:
            user.tell(error=str(error))
        except Exception as error:
            user.tell(error=f"the keeper of the run's servers: {type(error).__name__}: {error}")
            raise
        else:
            user.tell(urls={kept.wanted.name: kept.fleet.urls for kept in found if kept.fleet})

    async def _given(self, user: User, asked: Asked) -> list[Kept]:
        if asked.alone and self._devices and self._devices.kind == "gpu":
            await self._end_all([kept for kept in self._kept if not kept.users])
        found, missing = list[Kept](), list[Wanted]()
        for wanted in asked.wanted:
            if kept := await self._running(wanted, user):
                kept.users.add(user)
                user.tell(say=f"{wanted.name}: goes on with the servers of the run, {', '.join(_urls(kept))}")
                found.append(kept)
            else:
                missing.append(wanted)
        # One with too short a context, for example.
        titles = {wanted.title for wanted in missing}
        await self._end_all([kept for kept in self._kept if not kept.users and kept.wanted.title in titles])
        new = [Kept(wanted, self._sizes(wanted), {user}) for wanted in missing]
        await self._wait_for_room(user, summed([*(kept.sizes for kept in new), asked.beside]))
        user.beside = asked.beside
        self._kept += new
        try:
            await self._start(new)
        except BaseException:
            await self._end_all(new)
            raise
        return [*found, *new]

    async def _running(self, wanted: Wanted, user: User) -> Kept | None:
        for kept in [kept for kept in self._kept if kept.suits(wanted)]:
            assert kept.fleet is not None
            if await kept.fleet.well():
                return kept
            user.tell(say=f"{wanted.name}: its servers do not answer and are started anew")
            await self._end(kept)
        return None

    async def _wait_for_room(self, user: User, wanted: Sizes) -> None:
        own = summed(kept.sizes for kept in self._kept if user in kept.users)
        capacity = (
            {device: self._devices.room(device) - own.get(device, 0) for device in wanted}
            if self._devices
            else {}
        )
        while True:
            idle = sorted((kept for kept in self._kept if not kept.users), key=lambda kept: kept.used)
            # What it uses itself is nothing to wait for.
            busy = [kept.sizes for kept in self._kept if kept.users and user not in kept.users]
            busy += [other.beside for other in self._users]
            needed = self._needed
            given = [(kept.sizes, needed is None or kept.wanted.title in needed) for kept in idle]
            ending = to_end(given, busy, wanted, capacity)
            if ending is not None:
                await self._end_all([idle[number] for number in ending])
                return
            user.tell(say="waits for memory that another stage uses")
            self._changed.clear()
            await self._changed.wait()

    async def _start(self, new: Sequence[Kept]) -> None:
        for kept in new:
            kept.fleet = self._make(kept.wanted, kept.say)
        together = [kept.fleet for kept in new if kept.fleet and kept.wanted.fixed]
        await asyncio.gather(*(fleet.start() for fleet in together))
        for kept in new:
            # Each takes what it finds free: two that look at the same time take it twice.
            if kept.fleet and not kept.wanted.fixed:
                await kept.fleet.start()

    def _sizes(self, wanted: Wanted) -> Sizes:
        if self._devices is None:
            return {}
        model = wanted.model
        return footprint(wanted.settings, model.source, model.revision, self._devices)

    async def _tidy(self) -> None:
        async with self._turn:
            needed = self._needed
            if needed is not None:
                await self._end_all([k for k in self._kept if not k.users and k.wanted.title not in needed])

    async def _end_all(self, some: Sequence[Kept]) -> None:
        await asyncio.gather(*map(self._end, some))

    async def _end(self, kept: Kept) -> None:
        if kept in self._kept:
            self._kept.remove(kept)
            kept.say(f"{kept.wanted.title}: its servers end")
            if kept.fleet is not None:
                await kept.fleet.stop()
            self._changed.set()


def _urls(kept: Kept) -> list[str]:
    return kept.fleet.urls if kept.fleet else []


def log_name(wanted: Wanted) -> str:
    """What the names of log files of these servers begin with: what they are for, and which checkpoint."""
    parts = Path(wanted.model.source).parts
    # An artifact's checkpoint is `<stage>-<fingerprint>/model`.
    model = "-".join(parts[-2:-1] if parts[-1] == "model" else parts[-2:]).strip("/")
    return f"{wanted.name}-{model}"


async def keep(run: Path, listening: socket.socket) -> None:
    """Serve until standard input ends or SIGTERM comes."""

    def make(wanted: Wanted, report: Report) -> Fleet:
        return Fleet.of(wanted.settings, wanted.model, wanted.name, run / LOGS / log_name(wanted), report)

    try:
        devices = devices_here(installed_build())
    except UserError:
        devices = None
    keeping, loop = Keeping(make, devices), asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    server = await asyncio.start_unix_server(keeping.serve, sock=listening, limit=1 << 20)
    told = asyncio.create_task(_listen(reader, keeping))
    loop.add_signal_handler(signal.SIGTERM, told.cancel)
    await asyncio.wait({told})
    server.close()
    await keeping.close()


async def _listen(reader: asyncio.StreamReader, keeping: Keeping) -> None:
    tasks = set[asyncio.Task[None]]()
    while line := await reader.readline():
        # Not awaited: the end of the run has to be noticed whatever goes on.
        tasks.add(task := asyncio.create_task(keeping.need(frozenset(json.loads(line)))))
        task.add_done_callback(tasks.discard)


def main() -> None:
    die_with_parent()
    run, descriptor = sys.argv[1:]
    asyncio.run(keep(Path(run), socket.socket(fileno=int(descriptor))))
    # Whatever still runs is under a guard that ends with this process.
    os._exit(0)


if __name__ == "__main__":
    main()
