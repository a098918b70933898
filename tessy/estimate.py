"""Estimates of training before anything starts: memory per device, hours, cost.

Memory is computed from the model's shape and its distribution: weights, gradients and optimizer
states exactly, activations as far as measurements agree (tests/test_estimate.py has them). Time is the number
of operations divided by the device's speed in the recipe (`execution.train.device`) and the share of it that
training was measured to reach (`python -m train.probe`). Meant for deciding whether a run can fit and roughly
what it costs, not for accounting.

Not covered: synthesis and evaluation; what other processes hold; communication between nodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tessy.config.base import MINIATURE, MINIATURE_CONTEXT
from tessy.config.models import Pretraining
from tessy.config.recipe import Recipe
from tessy.config.train import TrainExecution, Training
from tessy.errors import UserError
from tessy.shapes import KNOWN, Shape, shape_in

GIB = 1 << 30
SLACK = 2 * GIB
"""Kept free for the driver's own and for fragmentation."""
LOSS = 600 << 20
"""What the loss holds, which never has all logits at once."""
REMEDIES = 4
"""No more ways out are listed."""
UTILIZATION: Mapping[str, Sequence[tuple[int, float]]] = {
    "torch": ((4_096, 0.21), (16_384, 0.29), (40_960, 0.29)),
    "liger": ((4_096, 0.26), (16_384, 0.38), (40_960, 0.42)),
}
"""Share of an H200's peak (989 TFLOP/s) by kernels and tokens of a row: an 8B model with adapters, one row at
a time (train/README.md)."""


def memory(shape: Shape, train: Training, spread: TrainExecution) -> dict[str, float]:
    """Bytes per device while it works on its micro-batch of rows of maximum length, by purpose."""
    count, world = shape.parameters, spread.world
    full = train.method == "full"
    trained = count if full else shape.adapters(train.lora_rank)
    half = spread.zero > 0 or not full
    weights = (2 if half else 4) * count / (world if spread.zero == 3 else 1) + 4 * (trained - count * full)
    gradients = 4 * trained / (world if spread.zero else 1)
    per_weight = 2.1 if train.optimizer == "adamw_8bit" else 12 if spread.zero else 8
    states = per_weight * trained / (world if spread.zero else 1)
    if spread.offload:
        states, weights = 0.0, 0.0 if spread.zero == 3 else weights
    tokens = spread.micro(train.batch_size) * train.max_length / spread.sequence_parallel
    kept, at_work = _activations(shape, spread)
    activations = tokens * kept
    if not spread.zero and spread.accumulation(train.batch_size) == 1:
        # Gradients come as activations go, and none is there before.
        activations = max(0.0, activations - gradients)
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer states": states,
        "activations": activations + max(LOSS, tokens * at_work),
        "slack": SLACK,
    }


def _activations(shape: Shape, spread: TrainExecution) -> tuple[float, float]:
    """Bytes per token that wait for backward, and of the layer at work, in bfloat16. A layer that is
    recomputed keeps its input, and its attention's output where that is not; the others all they need."""
    layers = shape.layers
    most = layers if spread.recomputed_layers is None else spread.recomputed_layers
    recomputed = 0 if spread.recompute == "nothing" else min(layers, most)
    attention = (2 * shape.queries + 4 * shape.heads) * (spread.recompute == "all_but_attention")
    whole = _layer(shape, spread)
    at_work = whole + shape.width * (4 if spread.kernels == "liger" else 14)
    return recomputed * (2 * shape.width + attention) + (layers - recomputed) * whole, at_work


def _layer(shape: Shape, spread: TrainExecution) -> float:
    """Bytes per token of what a layer keeps for backward: the inputs of its norms (in float32, except with
    fused kernels), products, and attention."""
    fused = spread.kernels == "liger"
    norms = 2 * shape.width * ((2 if fused else 4) + 2) + (shape.queries + shape.keys) * (2 if fused else 4)
    return norms + 4 * (shape.queries + shape.keys) + (6 if fused else 8) * shape.mlp * shape.active


def student_shape(recipe: Recipe) -> Shape | None:
    """The shape of the model to train; None where its configuration is not here, or does not say."""
    start, model = recipe.train.start, recipe.models.student
    return known_shape(start.source if start else model.source, model.pretraining)


def known_shape(source: str, made: Pretraining | None = None) -> Shape | None:
    """The shape of the model at `source`, or of a miniature to be `made`; None where its configuration is
    not here, or does not say."""
    if source != MINIATURE:
        path = Path(source) / "config.json"
        return shape_in(path) if path.is_file() else KNOWN.get(source)
    assert made is not None
    head_dim = made.width // made.heads
    sizes = (made.vocabulary, made.width, made.layers, made.heads, made.heads, head_dim, made.mlp)
    return Shape(*sizes, tied=True, positions=MINIATURE_CONTEXT)


def require_fit(recipe: Recipe) -> None:
    """Raise `UserError` where training cannot fit on the recipe's device, listing what would fit."""
    shape, device = student_shape(recipe), recipe.execution.train.device
    if shape is None or device is None:
        return
    needed = _needed(shape, recipe)
    if needed > device.memory_gib * GIB:
        found = [" ".join(f"{field}={value}" for field, value in one.items()) for one in remedies(recipe)]
        raise UserError(
            f"training needs about {in_gib(needed)} GiB per device, execution.train.device has "
            f"{in_gib(device.memory_gib * GIB)}; what would fit: "
            f"{'; or '.join(found) or 'a smaller train.max_length, or a smaller model'}"
        )


def in_gib(size: float) -> str:
    """Bytes in GiB for messages: with one decimal, where it is not whole."""
    return f"{size / GIB:,.1f}".removesuffix(".0")


def _needed(shape: Shape, recipe: Recipe) -> float:
    return sum(memory(shape, recipe.train, recipe.execution.train).values())


def remedies(recipe: Recipe) -> list[dict[str, Any]]:
    """New values of fields with which training fits and which the recipe's own checks allow, those that cost
    least first; none of them changes all that another one does."""
    shape, found = student_shape(recipe), list[dict[str, Any]]()
    if shape is None:
        return found
    for changes in _savings(recipe):
        for other in _recomputing(recipe, changes, shape):
            if len(found) < REMEDIES and not any(one.keys() <= other.keys() for one in found):
                found.append(other)
    return found


def _savings(recipe: Recipe) -> Iterator[dict[str, Any]]:
    """What may be changed besides recomputation."""
    train, spread = recipe.train, recipe.execution.train
    one = {"execution.train.micro_batch": 1} if spread.micro(train.batch_size) > 1 else {}
    eight_bits = {"train.optimizer": "adamw_8bit"}
    yield from ({}, eight_bits, one, one | eight_bits)
    for offload in (False, True):
        for zero in (2, 3):
            if zero >= spread.zero:
                yield one | _differing(spread, {"zero": zero, "offload": offload or spread.offload})
    for processes in (2, 4, 8, 16):
        if processes > spread.processes:
            yield one | _differing(spread, {"zero": 3, "processes": processes})
    yield one | {"train.method": "lora"}


def _differing(spread: TrainExecution, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"execution.train.{name}": v for name, v in values.items() if v != getattr(spread, name)}


def _recomputing(recipe: Recipe, changes: Mapping[str, Any], shape: Shape) -> Iterator[dict[str, Any]]:
    """`changes` alone, or else with as few more layers recomputed as make it fit, without their attention
    where that is enough."""
    if (other := _changed(recipe, changes)) and _fits(other, shape):
        yield dict(changes)
        return
    spread = recipe.execution.train
    ways = dict.fromkeys((spread.recompute or "layers", "all_but_attention", "layers"))
    for way in [way for way in ways if way != "nothing"]:
        recompute = _differing(spread, {"recompute": way}) if way != (spread.recompute or "layers") else {}
        for layers in range(1, shape.layers + 1):
            whole = layers == shape.layers and spread.recomputed_layers is None
            fewest = {} if whole else {"execution.train.recomputed_layers": layers}
            tried = {**changes, **recompute, **fewest}
            if (other := _changed(recipe, tried)) is None:
                break
            if _fits(other, shape):
                yield tried
                return


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe | None:
    """`recipe` with new values of some fields; None where its own checks refuse them."""
    plain = recipe.plain
    for field, value in changes.items():
        *sections, last = field.split(".")
        place = plain
        for section in sections:
            place = place[section]
        place[last] = value
    try:
        return Recipe.model_validate(plain)
    except ValidationError:
        return None


def _fits(recipe: Recipe, shape: Shape) -> bool:
    device = recipe.execution.train.device
    return device is not None and _needed(shape, recipe) <= device.memory_gib * GIB


def describe(recipe: Recipe, tokens: float | None) -> str:
    """One line about training for `tessy plan`; `tokens` are those of all runs and epochs, if known."""
    shape, spread = student_shape(recipe), recipe.execution.train
    if shape is None:
        return "training: no config.json with the model's sizes here; no estimate"
    parts = memory(shape, recipe.train, spread)
    text = f"training: {shape.parameters / 1e6:,.1f}M parameters, about {sum(parts.values()) / GIB:,.1f} GiB"
    text += " per device (" + ", ".join(f"{name} {size / GIB:,.1f}" for name, size in parts.items()) + ")"
    if tokens is None or spread.device is None:
        return text + "; with execution.train.device, and the problems at hand, its time as well"
    hours = hours_of(shape, recipe, tokens)
    return (
        f"{text}; at most {tokens / 1e6:,.1f}M tokens in all runs, {hours:,.2f} hours on {spread.world} "
        f"devices, cost {hours * spread.world * spread.device.price_per_hour:,.2f}"
    )


def hours_of(shape: Shape, recipe: Recipe, tokens: float) -> float:
    """Hours for `tokens` on the recipe's devices, assuming sequences of maximum length."""
    spread = recipe.execution.train
    assert spread.device is not None
    used = spread.device.utilization or _utilization(spread.kernels, recipe.train.max_length)
    rate = spread.world * spread.device.tflops * 1e12 * used
    per_token = shape.flops_per_token(recipe.train.max_length, recipe.train.method)
    return tokens * per_token / rate / 3600


def _utilization(kernels: str, tokens: int) -> float:
    """What was measured, between and beyond the measured lengths."""
    lengths, shares = zip(*UTILIZATION[kernels], strict=True)
    return float(np.interp(math.log(tokens), np.log(lengths), shares))


def training_tokens(recipe: Recipe) -> float | None:
    """The maximum over all methods, seeds and epochs; None where neither a file nor a limit gives the number
    of problems."""
    written = recipe.synthesis.written
    sets = [_problems(recipe) for _ in written] + [one.limit for one in recipe.synthesis.given.values()]
    rows = [one for one in sets if one is not None]
    if len(rows) < len(sets):
        return None
    return float(sum(rows) * recipe.train.max_length * len(recipe.train.seeds) * recipe.train.epochs)


def _problems(recipe: Recipe) -> int | None:
    if recipe.problems is None:
        return None
    path, curation = Path(recipe.problems.source), recipe.problems.curation
    if curation is not None and (drawn := curation.selection.samples or curation.selection.problems):
        return min(drawn, recipe.problems.limit or drawn)
    if recipe.world is not None and recipe.problems.source == MINIATURE:
        found = recipe.world.train_problems
    elif path.suffix == ".jsonl" and path.is_file():
        with path.open("rb") as lines:
            found = sum(1 for line in lines if line.strip())
    elif path.suffix == ".parquet" and path.is_file():
        import pyarrow.parquet as pq

        found = int(pq.ParquetFile(path).metadata.num_rows)
    else:
        return recipe.problems.limit
    return min(found, recipe.problems.limit or found)
