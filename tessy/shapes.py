"""Shapes of Qwen3-like decoders: sizes by their published names, as a checkpoint's `config.json` has them;
parameters, arithmetic.

Not covered: encoders, and attention that keeps something other than keys and values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tessy.errors import UserError

LFS_POINTER = b"version https://git-lfs"
"""What a pointer begins with that Git LFS leaves in a file's place."""
STEP = 8192
"""Tokens that vLLM reads in one step at most, unless it is told otherwise."""
_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
QWEN3: Mapping[str, Mapping[str, Any]] = {
    name: dict(zip(_SIZES, sizes, strict=True))
    | {"head_dim": 128, "tie_word_embeddings": tied, "vocab_size": 151_936}
    for name, sizes, tied in (
        ("0.6b", (1024, 3072, 28, 16, 8), True),
        ("1.7b", (2048, 6144, 28, 16, 8), True),
        ("4b", (2560, 9728, 36, 32, 8), True),
        ("8b", (4096, 12288, 36, 32, 8), False),
    )
}
"""Fields of the published `config.json` of Qwen3's dense models."""


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
    sliding: int = 0
    """Layers that attend to the last `window` tokens alone."""
    window: int = 0
    positions: int | None = None
    """The longest context, in tokens, where that is known."""

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

    @property
    def queries(self) -> int:
        """Width of all queries together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        return self.kv_heads * self.head_dim

    def adapters(self, rank: int) -> int:
        """The number of weights of low-rank adapters on every linear layer but the last."""
        attention = 2 * (self.width + self.queries) + 2 * (self.width + self.keys)
        return self.layers * rank * (attention + 3 * self.experts * (self.width + self.mlp))

    def cached(self, tokens: int) -> int:
        """Numbers in the key-value cache of a sequence of `tokens`. A layer with a sliding window holds no
        more than that and one step's tokens."""
        held = (self.layers - self.sliding) * tokens + self.sliding * min(tokens, self.window + STEP)
        return 2 * self.kv_heads * self.head_dim * held

    def flops_per_token(self, tokens: float, method: str) -> float:
        """FLOPs per token of training on sequences of `tokens`: forward and backward, causal attention,
        without recomputation. Frozen weights need no weight gradients; attention has no weights, and backward
        is twice forward with either method."""
        weights = self.embedding + self.layers * self._layer(self.active)
        attention = self.layers * 2 * self.heads * self.head_dim * tokens
        return 2 * weights * (3 if method == "full" else 2) + 3 * attention


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
        mlp=(experts > 1 and config.get("moe_intermediate_size")) or config["intermediate_size"],
        tied=bool(config.get("tie_word_embeddings")),
        experts=experts,
        active=config.get("num_experts_per_tok", 1) if experts > 1 else 1,
        sliding=(config.get("layer_types") or []).count("sliding_attention"),
        window=config.get("sliding_window") or 0,
        positions=config.get("max_position_embeddings"),
    )


def shape_in(path: Path) -> Shape | None:
    """The shape of the decoder that the `config.json` at `path` describes; None where it leaves sizes to its
    kind of model, or calls them otherwise. Raises `UserError` where it is no configuration."""
    config = decoder_config(path)
    try:
        shape = shape_of(config)
    except (LookupError, TypeError, AttributeError, ZeroDivisionError):
        if "model_type" in config:
            return None
        raise broken(path, "a model's configuration: it has neither a model_type nor all sizes") from None
    attention = (shape.heads, shape.kv_heads, shape.head_dim, shape.window or 1, shape.positions or 1)
    sizes = (shape.vocabulary, shape.width, shape.layers, *attention, shape.mlp, shape.experts, shape.active)
    if wrong := [size for size in sizes if not isinstance(size, int) or size < 1]:
        raise broken(path, f"a model's configuration: a size in it is {wrong[0]!r}")
    return shape


def decoder_config(path: Path) -> Mapping[str, Any]:
    """What the `config.json` at `path` says of the model that reads and writes text."""
    config = checkpoint_json(path)
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def checkpoint_json(path: Path) -> dict[str, Any]:
    """A JSON object among the files of somebody's checkpoint; raises `UserError` where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise broken(path, "a JSON object")
    return found


def broken(path: Path, kind: str) -> UserError:
    """Says that a checkpoint's file is not `kind`, and what to do."""
    try:
        with path.open("rb") as stream:
            pointer = stream.read(len(LFS_POINTER)) == LFS_POINTER
        size = path.stat().st_size
    except OSError as error:
        return UserError(f"{path}: cannot be read ({error.strerror}); fetch the checkpoint again")
    if pointer:
        return UserError(f"{path}: a Git LFS pointer, not the file itself; run `git lfs pull` in its folder")
    return UserError(f"{path}: not {kind} ({size:,} bytes); fetch the checkpoint again")


def _gpt_oss(layers: int, experts: int) -> Shape:
    sizes = (201088, 2880, layers, 64, 8, 64, 2880)
    return Shape(
        *sizes, tied=False, experts=experts, active=4, sliding=layers // 2, window=128, positions=131072
    )


KNOWN: Mapping[str, Shape] = {
    **{
        f"Qwen/Qwen3-{name.upper()}": replace(shape_of(fields), positions=40960)
        for name, fields in QWEN3.items()
    },
    **{
        f"Qwen/Qwen3-{name.upper()}-Base": replace(shape_of(QWEN3[name]), positions=32768)
        for name in ("0.6b", "8b")
    },
    "Qwen/Qwen3-30B-A3B": Shape(
        151936, 2048, 48, 32, 4, 128, 768, tied=False, experts=128, active=8, positions=40960
    ),
    "openai/gpt-oss-20b": _gpt_oss(24, 32),
    "openai/gpt-oss-120b": _gpt_oss(36, 128),
}
"""Models that recipes name, by their hub ids: a plan asks no hub."""
