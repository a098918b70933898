"""A run's servers are shared, kept while they are needed, and replaced when dead. The servers are toys."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config.engines import EngineSettings
from tessy.engines.command import ServedModel
from tessy.engines.devices import Devices
from tessy.engines.keeper import Keeping, log_name, to_end
from tessy.engines.launch import Fleet, Report, Server, free_ports
from tessy.engines.shared import SOCKET, Asked, Wanted, make_room, serving
from tessy.errors import UserError
from tessy.estimate import GIB
from tests.processes import descendants, end, grows_to
from tests.test_launch import WELL

sizes = st.dictionaries(st.sampled_from("ab"), st.integers(0, 10))


@given(
    st.lists(st.tuples(sizes, st.booleans()), max_size=5),
    st.lists(sizes, max_size=3),
    sizes,
    st.fixed_dictionaries({"a": st.integers(0, 20), "b": st.integers(0, 20)}),
)
def test_room_is_made_by_ending_as_little_as_will_do(
    idle: Sequence[tuple[Mapping[str, int], bool]],
    busy: Sequence[Mapping[str, int]],
    wanted: Mapping[str, int],
    capacity: Mapping[str, int],
) -> None:
    ending = to_end(idle, busy, wanted, capacity)

    def held(device: str, kept: Sequence[int]) -> int:
        return sum(one.get(device, 0) for one in (*busy, *(idle[n][0] for n in kept), wanted))

    if ending is None:
        assert any(held(device, []) > capacity[device] for device in wanted), "it would have fitted"
        return
    left = [number for number in range(len(idle)) if number not in ending]
    for device in wanted:
        alone = not any(device in one for one in busy)
        assert held(device, left) <= capacity[device] or (
            alone and not any(device in idle[n][0] for n in left)
        )
    # The one that was chosen last was still necessary.
    order = sorted(ending, key=lambda number: idle[number][1])
    if order:
        before = [number for number in range(len(idle)) if number not in order[:-1]]
        assert any(held(device, before) > capacity[device] for device in wanted)


def wanted(
    name: str = "student", source: str = "/m/one/model", length: int = 100, **arguments: int
) -> Wanted:
    settings = EngineSettings(
        kind="server", restarts=0, start_timeout_s=10, arguments={"kv_cache_memory_bytes": GIB, **arguments}
    )
    return Wanted(name, settings, ServedModel(source, None, length))


class Toys:
    """Keeps toy servers in the folder of a run; `said` are lines of all that asked."""

    def __init__(self, run: Path, memory: int = 1 << 10, program: str = WELL) -> None:
        self.run, self.program, self.said = run, program, list[str]()
        self.keeping = Keeping(self.make, Devices("cpu", (memory * GIB,)))
        self.made: list[Fleet] = []

    def make(self, wanted: Wanted, report: Report) -> Fleet:
        (port,) = free_ports(1)
        command = [sys.executable, "-c", self.program, str(port)]
        log = self.run / f"{wanted.name}.log"
        fleet = Fleet(wanted.settings, [Server(wanted.name, command, dict(os.environ), port, log, report)])
        self.made.append(fleet)
        return fleet

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Toys]:
        place = self.run / SOCKET
        server = await asyncio.start_unix_server(self.keeping.serve, place)
        try:
            yield self
        finally:
            server.close()
            await self.keeping.close()

    @asynccontextmanager
    async def ask(self, *servers: Wanted) -> AsyncIterator[dict[str, list[str]]]:
        async with serving(self.run, Asked(servers), self.run / "own", self.said.append) as urls:
            yield urls

    @property
    def pids(self) -> list[int]:
        """Of the toys that were started, without their guards."""
        found = []
        for fleet in self.made:
            for server in fleet.servers:
                if server.process is not None and server.process.returncode is None:
                    found += descendants(server.process.pid)
        return found


async def gone(pids: Sequence[int]) -> None:
    assert await asyncio.to_thread(end, pids)


def test_who_asks_for_the_same_goes_on_with_what_runs(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path).open() as toys:
            async with toys.ask(wanted(), wanted("teacher")) as first:
                pids = toys.pids
                async with toys.ask(wanted(length=50)) as beside:
                    assert beside == {"student": first["student"]}
            async with toys.ask(wanted(), wanted("teacher")) as again:
                assert again == first
            assert toys.pids == pids
            for other in (wanted(source="/m/two/model"), wanted(length=200), wanted(max_num_seqs=4)):
                async with toys.ask(other) as urls:
                    assert urls["student"] not in first.values()
        await gone(pids)
        assert len(toys.made) == 5

    asyncio.run(run())


def test_what_the_plan_no_longer_needs_ends_and_the_rest_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path).open() as toys:
            await toys.keeping.need(frozenset({"student /m/one/model"}))
            async with toys.ask(wanted(), wanted("teacher")) as urls:
                student, teacher = (
                    descendants(s.process.pid) for f in toys.made for s in f.servers if s.process
                )
            await gone(teacher)
            async with toys.ask(wanted()) as again:
                assert again["student"] == urls["student"]
                await toys.keeping.need(frozenset())
                assert toys.pids == student, "used, so it stays"
            await gone(student)

    asyncio.run(run())


def test_memory_goes_to_who_needs_it_now(tmp_path: Path) -> None:
    """A server takes 1 GiB of cache and 2 of its own; 75 % of 4 GiB hold one."""

    async def run() -> None:
        async with Toys(tmp_path, memory=4).open() as toys:
            async with toys.ask(wanted()):
                pids = toys.pids
                waiting = asyncio.create_task(toys.ask(wanted("teacher")).__aenter__())
                while not any("waits for memory" in line for line in toys.said):
                    await asyncio.sleep(0.02)
                assert toys.pids == pids
            assert set(await waiting) == {"teacher"}
            await gone(pids)

    asyncio.run(run())


def test_nobody_waits_for_memory_that_he_uses_himself(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path, memory=4).open() as toys:
            async with toys.ask(wanted()) as first:
                pass
            async with toys.ask(wanted(), wanted("teacher")) as both:
                assert both["student"] == first["student"]

    asyncio.run(run())


def test_a_dead_server_is_noticed_and_started_anew(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path).open() as toys:
            async with toys.ask(wanted()) as first:
                os.kill(toys.pids[0], signal.SIGKILL)
                while not any("0 restarts left" in line for line in toys.said):
                    await asyncio.sleep(0.02)
            async with toys.ask(wanted()) as second:
                assert second != first
                assert any("started anew" in line for line in toys.said)

    asyncio.run(run())


def test_one_that_does_not_start_says_why_and_holds_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path, program="raise SystemExit('ValueError: no such model')").open() as toys:
            for _ in range(2):
                with pytest.raises(UserError, match=r"(?s)ended with status 1.*no such model"):
                    async with toys.ask(wanted(), wanted("teacher")):
                        pass
            assert toys.pids == []

    asyncio.run(run())


def test_whoever_dies_while_servers_start_leaves_none(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path, program="import time; time.sleep(60)").open() as toys:
            asking = asyncio.create_task(toys.ask(wanted()).__aenter__())
            while not toys.pids:
                await asyncio.sleep(0.02)
            pids = toys.pids
            asking.cancel()
            await gone(pids)

    asyncio.run(run())


def test_training_finds_gpus_free_of_servers_that_nobody_uses(tmp_path: Path) -> None:
    async def run() -> None:
        async with Toys(tmp_path).open() as toys:
            async with toys.ask(wanted()):
                pass
            await asyncio.to_thread(make_room, tmp_path)
            assert toys.pids, "main memory is not what training lacks"
            toys.keeping._devices = Devices("gpu", (80 * GIB,))
            async with toys.ask(wanted("teacher")):
                await asyncio.to_thread(make_room, tmp_path)
                assert len(descendants(toys.made[1].servers[0].process.pid)) == len(toys.pids)  # type: ignore[union-attr]

    asyncio.run(run())


def test_where_no_run_keeps_servers_everybody_starts_his_own(tmp_path: Path) -> None:
    (tmp_path / SOCKET).touch()
    make_room(tmp_path)
    make_room(tmp_path / "none")

    async def run() -> None:
        async with AsyncExitStack() as stack:
            with pytest.raises(UserError, match="vLLM is not installed"):
                await stack.enter_async_context(serving(tmp_path, Asked([wanted()]), tmp_path, print))

    try:
        import vllm  # noqa: F401
    except ImportError:
        asyncio.run(run())


RUN = """
import os, sys, time
from pathlib import Path
from tessy.engines.shared import Keeper
keeper = Keeper(Path(sys.argv[1]), dict(os.environ))
keeper.need(["student x"])
time.sleep(60)
"""


def test_the_keeper_ends_with_its_run_however_that_dies(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", RUN, str(folder)]) as run:
        family = grows_to(run.pid, 1)
        (place,) = folder.glob(f"{SOCKET}-*")
        assert place.is_socket()
        assert place.stat().st_mode & 0o077 == 0, "nobody else may ask for servers"
        run.kill()
    assert end(family)


def test_logs_are_named_by_what_is_served() -> None:
    assert log_name(wanted(source="/r/model-student-12ab/model")) == "student-model-student-12ab"
    assert log_name(wanted(source="Qwen/Qwen3-8B")) == "student-Qwen-Qwen3-8B"
