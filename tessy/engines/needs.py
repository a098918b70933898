"""What each model of a recipe needs: its devices, its weights, its context, and how many samples are in
flight.

Weights and cache are exact (`tessy.engines.checkpoint`, `tessy.estimate.Shape`); what a process needs besides
them is a rule of thumb. Not covered: who gets how much (`tessy.engines.placing`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tessy.config.engines import Argument, EngineSettings, device_share, whole
from tessy.config.execution import Execution
from tessy.config.methods import cooperative
from tessy.config.models import Pretraining
from tessy.config.recipe import Recipe
from tessy.engines.checkpoint import Checkpoint, checkpoint
from tessy.engines.devices import Devices, arguments, parallel
from tessy.engines.memory import Tenant
from tessy.errors import UserError
from tessy.estimate import GIB, in_gib
from tessy.records import ROLES, Role
from tessy.shapes import STEP, Shape

PROMPT = 1024
"""Tokens allowed for a prompt and its markup; a stage whose prompts are longer asks for a longer context."""
WINDOW = 200
"""What a predictor sees where nothing says it (the release's)."""
PROCESS = {"gpu": 2 * GIB, "cpu": 2 * GIB}
"""What a server's process takes without any model: CUDA's context and recorded graphs, or its libraries."""
ROWS = 256
"""Sequences that vLLM works on at once, unless it is told otherwise."""
UTILIZATION = 0.92
"""vLLM's own share of a GPU, the larger of its versions' defaults."""
SIZING = ("kv_cache_memory_bytes", "gpu_memory_utilization")
"""vLLM arguments by which a recipe gives memory itself; where it gives both, the first one counts."""
EIGHT_BITS = ("fp8", "int8", "experts_int8", "fp8_per_tensor", "fp8_per_block")


def footprint(
    settings: EngineSettings, source: str, revision: str | None, devices: Devices
) -> dict[str, int]:
    """Bytes that one fleet of servers takes of each of its devices, as far as files tell: what it is given,
    or else what vLLM takes of itself."""
    given, places = arguments(settings), devices.of(settings)
    found, cache = checkpoint(source, revision), _cache_bytes(given)
    taken = device_share(given.get("gpu_memory_utilization", UTILIZATION))
    one: dict[str, int] = {}
    for device in dict.fromkeys(places):
        if found is not None and cache is not None:
            weights, besides, _ = _bare(settings, found, devices)
            size = weights + besides + cache
        elif devices.kind == "gpu":
            size = int(taken * devices.size(device))
        else:
            size = PROCESS["cpu"] + (cache or 0)
        one[device] = places.count(device) * size
    return one


def in_process(device: str, source: str, revision: str | None, context: int, samples: int) -> dict[str, int]:
    """Bytes that a boundary predictor in this process takes of `device` (PyTorch's name); of a CPU, none."""
    found = checkpoint(source, revision)
    if device == "cpu" or found is None:
        return {}
    cache = 2 * samples * found.shape.cached(context)
    return {device.partition(":")[2] or "0": found.weights.size(2) + PROCESS["gpu"] + cache}


@dataclass(frozen=True, slots=True)
class Asked:
    """A model that something runs: where it is, and how long a context its samples need."""

    source: str
    revision: str | None
    made: Pretraining | None
    context: int


def models(recipe: Recipe) -> Iterator[tuple[str, EngineSettings, Asked]]:
    execution = recipe.execution
    # A recipe of given traces has no teacher.
    used: tuple[Role, ...] = ROLES if recipe.models.teacher else ("student",)
    for role in used:
        settings, model = execution.engines.of(role), recipe.models.of(role)
        if settings.starts_servers or settings.kind == "vllm":
            asked = Asked(model.source, model.revision, model.pretraining, _longest(recipe, role))
            yield f"engines.{role}", settings, asked
    for role in ROLES:
        watching = execution.predictors.of(role)
        reads = _predictor(recipe, role)
        if reads and (watching.starts_servers or watching.device != "cpu"):
            yield f"predictors.{role}", watching.serving, reads


def _longest(recipe: Recipe, role: Role) -> int:
    """The longest context that a stage will ask of `role`'s model: most tokens and a prompt."""
    synthesis, own = recipe.synthesis, {role}
    lengths = [synthesis.max_tokens, recipe.evaluate.max_tokens]
    for annotator in recipe.predictors.annotators if recipe.predictors else ():
        if annotator.kind == "llm" and annotator.own in own:
            lengths.append(annotator.max_tokens)
    scoring = synthesis.teacher_score
    if scoring and scoring.scorer.kind == "grade" and role == "teacher":
        lengths.append(synthesis.max_tokens + scoring.scorer.max_tokens)
    if "teacher_reference" in synthesis.methods and role == "student":
        lengths.append(2 * synthesis.max_tokens)
    return max(lengths) + PROMPT


def _predictor(recipe: Recipe, role: Role) -> Asked | None:
    """The boundary predictor of `role`'s text, where the recipe has any."""
    switch, trained = recipe.synthesis.switch, recipe.predictors
    if not any(map(cooperative, recipe.synthesis.written)):
        return None
    if switch.kind == "checkpoints":
        named = switch.student if role == "student" else switch.teacher
        return Asked(named.source, named.revision, None, switch.window_tokens or WINDOW)
    if switch.kind != "trained" or trained is None:
        return None
    model = recipe.models.of(role)
    if trained.base:
        return Asked(trained.base.source, trained.base.revision, None, trained.window_tokens)
    return Asked(model.source, model.revision, model.pretraining, trained.window_tokens)


def tenant_of(
    name: str,
    settings: EngineSettings,
    asked: Asked,
    found: Checkpoint,
    execution: Execution,
    devices: Devices,
) -> Tenant:
    given, places = arguments(settings), devices.of(settings)
    # Workers that a cluster places have devices and servers of their own.
    workers = execution.workers if execution.cluster.kind == "local" else 1
    # What is no server is started by each process of a stage.
    copies = 1 if settings.starts_servers else workers
    weights, besides, quantized = _bare(settings, found, devices)
    # A stage asks for the longer of the two.
    context = max(settings.context or 0, min(asked.context, found.shape.positions or asked.context))
    sizing = [argument for argument in SIZING if argument in given]
    fixed = _cache_bytes(given)
    if fixed is None and devices.kind == "gpu" and "gpu_memory_utilization" in given:
        taken = device_share(given["gpu_memory_utilization"]) * min(map(devices.size, places))
        fixed = max(0, int(taken) - weights - besides)
    tenant = Tenant(
        name,
        places * copies,
        found.shape,
        weights,
        besides,
        context,
        math.ceil(execution.concurrency * workers / settings.replicas / copies),
        _cache_width(settings, devices),
        parallel(settings),
        strict=settings.kind == "transformers",
        fixed=fixed,
        fixed_by=" and ".join(f"execution.{name}.arguments.{argument}" for argument in sizing),
        quantized=quantized,
    )
    if fixed is not None and fixed < tenant.cache(1):
        raise UserError(
            f"execution.{name}.arguments.{sizing[0]} {given[sizing[0]]!r}: a cache of {in_gib(fixed)} GiB "
            f"cannot hold one sample of {context:,} tokens, which takes {in_gib(tenant.cache(1))}; give "
            "more, or leave it out"
        )
    return tenant


def _bare(settings: EngineSettings, found: Checkpoint, devices: Devices) -> tuple[int, int, int | None]:
    """Bytes on one device of the weights, of all else but the cache, and of the weights in 8 bits, where
    nothing has packed them yet."""
    given, parts, width = arguments(settings), parallel(settings), _width(settings, devices)
    weights, packed = found.weights, bool(found.weights.packed) or "quantization" in given
    in_eight = weights.size(width, 1) // parts
    chosen = str(given.get("quantization", ""))
    of_matrices = 1 if chosen in EIGHT_BITS else 0.6 if chosen == "bitsandbytes" else None
    able = not packed and settings.kind != "transformers" and devices.kind == "gpu"
    return (
        weights.size(width, of_matrices) // parts,
        _besides(settings, found.shape, devices) // parts,
        in_eight if able else None,
    )


def _besides(settings: EngineSettings, shape: Shape, devices: Devices) -> int:
    """A rule of thumb: the process, one step's activations, and the sampler's copies of its logits."""
    given = arguments(settings)
    if devices.kind == "cpu" or settings.kind == "transformers":
        return PROCESS[devices.kind]
    tokens = whole(given.get("max_num_batched_tokens", STEP))
    step = 2 * tokens * (6 * shape.width + 3 * shape.mlp * shape.active)
    rows = 0 if given.get("runner") == "pooling" else whole(given.get("max_num_seqs", ROWS))
    return PROCESS["gpu"] + step + 3 * 4 * rows * shape.vocabulary


def _width(settings: EngineSettings, devices: Devices) -> int:
    """Bytes of a number in the weights."""
    by_itself = "float32" if devices.kind == "cpu" else "auto"
    return 4 if str(arguments(settings).get("dtype", by_itself)) in ("float32", "float") else 2


def _cache_width(settings: EngineSettings, devices: Devices) -> int:
    packed = str(arguments(settings).get("kv_cache_dtype", "")).startswith(("fp8", "int8"))
    return 1 if packed else _width(settings, devices)


def _cache_bytes(given: Mapping[str, Argument]) -> int | None:
    value = given.get("kv_cache_memory_bytes")
    return None if value is None else whole(value)
