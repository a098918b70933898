"""The size of a checkpoint's weights, from its files alone: headers of safetensors, else an index, else its
shape.

Nothing is loaded and no hub is asked: what is neither in a folder nor in the hub's cache is known only if it
is one of the models that recipes name. Not covered: adapters, and files of other formats than Hugging Face's.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.config.models import Pretraining
from tessy.estimate import known_shape
from tessy.shapes import KNOWN, Shape, shape_of

FLOATS: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of the number formats that a server converts to its own; everything else is packed already."""
WIDTHS = {"float64": 8, "float32": 4, "float": 4}
"""Bytes of a number by PyTorch's name; 2 for all others."""
PUBLISHED = {"openai/gpt-oss-20b": 13_761_264_768, "openai/gpt-oss-120b": 65_248_815_744}
"""Bytes of published checkpoints whose numbers are packed, which their shape does not tell."""
HEADER_BYTES = 100_000_000
"""The longest header that the safetensors format allows."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Numbers that quantization would shrink (`matrices`), all `others` that a server holds in its own dtype,
    and bytes of those that are `packed` already."""

    matrices: int
    others: int
    packed: int = 0

    def size(self, width: float, of_matrices: float | None = None) -> int:
        """Bytes, with `width` bytes for a number, or `of_matrices` for one that is quantized."""
        return math.ceil(self.matrices * (of_matrices or width) + self.others * width) + self.packed


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's shape and weights."""

    shape: Shape
    weights: Weights


def checkpoint(
    source: str, revision: str | None = None, made: Pretraining | None = None
) -> Checkpoint | None:
    """The checkpoint at `source`: a folder, a hub id, or a miniature to be `made`; None where it is not
    known."""
    folder = _folder(source, revision)
    if folder is None:
        shape = known_shape(source, made)
        if shape is None:
            return None
        published = PUBLISHED.get(source)
        return Checkpoint(shape, Weights(0, 0, published) if published else _by_shape(shape))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    shape = shape_of(text)
    return Checkpoint(shape, _weights(folder, text, shape))


def _folder(source: str, revision: str | None) -> Path | None:
    """Where the checkpoint's `config.json` is on this machine."""
    if (Path(source) / "config.json").is_file():
        return Path(source)
    if source in KNOWN or Path(source).exists():
        return None
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source, "config.json", revision=revision)
    except (ImportError, ValueError):
        return None
    return Path(found).parent if isinstance(found, str) else None


def _weights(folder: Path, config: Mapping[str, Any], shape: Shape) -> Weights:
    if files := sorted(folder.glob("*.safetensors")):
        return _counted(tensor for file in files for tensor in _header(file).items())
    width = WIDTHS.get(str(config.get("dtype") or config.get("torch_dtype")), 2)
    for index in folder.glob("*.index.json"):
        total = json.loads(index.read_text(encoding="utf-8")).get("metadata", {}).get("total_size")
        if total:
            return Weights(0, int(total) // width)
    if stored := sum(file.stat().st_size for file in folder.glob("pytorch_model*.bin")):
        return Weights(0, stored // width)
    return _by_shape(shape)


def _by_shape(shape: Shape) -> Weights:
    embeddings = shape.embedding * (1 if shape.tied else 2)
    return Weights(shape.parameters - embeddings, embeddings)


def _header(file: Path) -> dict[str, Any]:
    """Tensors by name: eight bytes of length, then JSON (the safetensors format)."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        tensors: dict[str, Any] = json.loads(stream.read(min(length, HEADER_BYTES)))
    tensors.pop("__metadata__", None)
    return tensors


def _counted(tensors: Iterator[tuple[str, Mapping[str, Any]]]) -> Weights:
    matrices = others = packed = 0
    for name, tensor in tensors:
        start, end = tensor["data_offsets"]
        width = FLOATS.get(tensor["dtype"])
        if width is None:
            packed += end - start
        elif len(tensor["shape"]) > 1 and not ("embed" in name or "lm_head" in name):
            matrices += (end - start) // width
        else:
            others += (end - start) // width
    return Weights(matrices, others, packed)
