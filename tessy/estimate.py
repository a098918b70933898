"""Estimates of training before anything starts: memory per device, hours, cost.

Memory is computed from the model's shape and its distribution: weights, gradients and optimizer
states exactly, activations by a rule of thumb. Time is the number of operations divided by the device's speed
in the recipe (`execution.train.device`; `python -m train.probe` measures it). Meant for deciding
whether a run can fit and roughly what it costs, not for accounting.

Not covered: synthesis and evaluation; what other processes hold; communication between nodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.config.base import MINIATURE
from tessy.config.recipe import Recipe
from tessy.config.train import TrainExecution
from tessy.errors import UserError

GIB = 1 << 30
SLACK = 2 * GIB
"""Kept free for the driver's own and for fragmentation."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Qwen3-like decoder; `experts` of which `active` see a token, one in dense models."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    tied: bool
    experts: int = 1
    active: int = 1

    @property
    def parameters(self) -> int:
        """The number of weights without those of norms, which are below a thousandth."""
        return self.embedding * (1 if self.tied else 2) + self.layers * self._layer(self.experts)

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.width

    def _layer(self, experts: int) -> int:
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return attention + 3 * self.width * self.mlp * experts

    def flops_per_token(self, tokens: int, method: str) -> float:
        """FLOPs per token of training on sequences of `tokens`: forward and backward, causal attention,
        without recomputation. Frozen weights need no weight gradients."""
        weights = self.embedding + self.layers * self._layer(self.active)
        attention = self.layers * 2 * self.heads * self.head_dim * tokens
        forward = 2 * weights + attention
        return forward * (3 if method == "full" else 2)


KNOWN: Mapping[str, Shape] = {
    "Qwen/Qwen3-8B": Shape(151936, 4096, 36, 32, 8, 128, 12288, tied=False),
    "Qwen/Qwen3-8B-Base": Shape(151936, 4096, 36, 32, 8, 128, 12288, tied=False),
    "Qwen/Qwen3-30B-A3B": Shape(151936, 2048, 48, 32, 4, 128, 768, tied=False, experts=128, active=8),
}
"""The paper's students, as their published `config.json` has them: a plan asks no hub."""


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape in a checkpoint's `config.json`."""
    heads, width = config["num_attention_heads"], config["hidden_size"]
    experts = config.get("num_experts") or config.get("num_local_experts") or 1
    return Shape(
        vocabulary=config["vocab_size"],
        width=width,
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads", heads),
        head_dim=config.get("head_dim") or width // heads,
        mlp=config["moe_intermediate_size"] if experts > 1 else config["intermediate_size"],
        tied=bool(config.get("tie_word_embeddings")),
        experts=experts,
        active=config.get("num_experts_per_tok", 1) if experts > 1 else 1,
    )


def memory(shape: Shape, method: str, spread: TrainExecution, tokens: int, rows: int) -> dict[str, float]:
    """Bytes per device while it processes `rows` rows of `tokens`, by purpose."""
    count, world = shape.parameters, spread.world
    trained = count if method == "full" else count / 50
    half = spread.zero > 0 or method == "lora"
    weights = (2 if half else 4) * count / (world if spread.zero == 3 else 1)
    gradients = 4 * trained / (world if spread.zero else 1)
    states = (12 if half else 8) * trained / (world if spread.zero else 1)
    if spread.offload:
        states, weights = 0.0, 0.0 if spread.zero == 3 else weights
    # Checkpointing keeps one input per layer and, for the current layer, about twenty vectors per token.
    kept = shape.layers * shape.width
    at_work = 12 * shape.width + 4 * shape.mlp * shape.active + 4 * shape.heads * shape.head_dim
    activations = 2 * rows * tokens / spread.sequence_parallel * (kept + at_work)
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer states": states,
        "activations": activations,
        "slack": SLACK,
    }


def student_shape(recipe: Recipe) -> Shape | None:
    """The shape of the model to train; None where its configuration is only on the hub."""
    start = recipe.train.start
    source = start.source if start else recipe.models.student.source
    if source != MINIATURE:
        path = Path(source) / "config.json"
        return shape_of(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else KNOWN.get(source)
    made = recipe.models.student.pretraining
    assert made is not None
    head_dim = made.width // made.heads
    sizes = (made.vocabulary, made.width, made.layers, made.heads, made.heads, head_dim, made.mlp)
    return Shape(*sizes, tied=True)


def require_fit(recipe: Recipe) -> None:
    """Raise `UserError` where training cannot fit on the recipe's device, listing what would fit."""
    shape, device = student_shape(recipe), recipe.execution.train.device
    if shape is None or device is None:
        return
    needed = _needed(recipe, shape, recipe.train.method, recipe.execution.train)
    if needed > device.memory_gib * GIB:
        fitting = next(_alternatives(recipe, shape), "a smaller train.max_length, or a smaller model")
        raise UserError(
            f"training needs about {needed / GIB:,.0f} GiB per device, execution.train.device has "
            f"{device.memory_gib:,.0f}; what would fit: {fitting}"
        )


def _needed(recipe: Recipe, shape: Shape, method: str, spread: TrainExecution) -> float:
    rows = spread.micro(recipe.train.batch_size)
    return sum(memory(shape, method, spread, recipe.train.max_length, rows).values())


def _alternatives(recipe: Recipe, shape: Shape) -> Iterator[str]:
    """Changes with which training fits, the smallest first."""
    device, spread = recipe.execution.train.device, recipe.execution.train
    assert device is not None
    one = {"micro_batch": 1}
    for changes in (
        one,
        *({**one, "zero": zero, "offload": offload} for offload in (False, True) for zero in (2, 3)),
        *({**one, "zero": 3, "processes": processes} for processes in (2, 4, 8, 16)),
    ):
        other = spread.model_copy(update=changes)
        if _needed(recipe, shape, recipe.train.method, other) <= device.memory_gib * GIB:
            yield "execution.train " + ", ".join(f"{key}={value}" for key, value in changes.items() if value)
    if _needed(recipe, shape, "lora", spread.model_copy(update=one)) <= device.memory_gib * GIB:
        yield "train.method=lora with execution.train.micro_batch=1"


def describe(recipe: Recipe, tokens: float | None) -> str:
    """One line about training for `tessy plan`; `tokens` are those of all runs and epochs, if known."""
    shape, spread = student_shape(recipe), recipe.execution.train
    if shape is None:
        return "training: no config.json of the model here yet; no estimate"
    parts = memory(
        shape,
        recipe.train.method,
        spread,
        recipe.train.max_length,
        spread.micro(recipe.train.batch_size),
    )
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
    rate = spread.world * spread.device.tflops * 1e12 * spread.device.utilization
    per_token = shape.flops_per_token(recipe.train.max_length, recipe.train.method)
    return tokens * per_token / rate / 3600


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
    path = Path(recipe.problems.source)
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
