"""The size of a checkpoint's weights, from its files alone: headers of safetensors, an index for those that
are not here, else its shape.

Nothing is loaded and no hub is asked: what is neither in a folder nor in the hub's cache is known only if it
is one of the models that recipes name. Not covered: adapters, and files of other formats than Hugging Face's.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tessy.config.models import Pretraining
from tessy.estimate import known_shape
from tessy.shapes import KNOWN, Shape, broken, checkpoint_json, decoder_config, shape_in

FLOATS: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of the number formats that a server converts to its own; everything else is packed already."""
WIDTHS = {"float64": 8, "float32": 4, "float": 4}
"""Bytes of a number by PyTorch's name; 2 for all others."""
PUBLISHED = {"openai/gpt-oss-20b": 13_761_264_768, "openai/gpt-oss-120b": 65_248_815_744}
"""Bytes of published checkpoints whose numbers are packed, which their shape does not tell."""
HEADER_BYTES = 100_000_000
"""The longest header that the safetensors format allows."""
SMALLEST = 1024
"""No file of PyTorch's is smaller: a zip archive. Pointers of Git LFS are."""


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
    """A checkpoint's shape and weights; `missing` are files of its index that are not here."""

    shape: Shape
    weights: Weights
    missing: Sequence[str] = ()


def checkpoint(
    source: str, revision: str | None = None, made: Pretraining | None = None
) -> Checkpoint | None:
    """The checkpoint at `source`: a folder, a hub id, or a miniature to be `made`; None where it is not
    known. Raises `UserError` where a file is not what its name says."""
    folder = _folder(source, revision)
    if folder is None:
        shape = known_shape(source, made)
        if shape is None:
            return None
        published = PUBLISHED.get(source)
        return Checkpoint(shape, Weights(0, 0, published) if published else _by_shape(shape))
    shape = shape_in(folder / "config.json")
    if shape is None:
        return None
    config = decoder_config(folder / "config.json")
    width = WIDTHS.get(str(config.get("dtype") or config.get("torch_dtype")), 2)
    # Beside the files that an index names, others may have the same weights once more.
    if (index := folder / "model.safetensors.index.json").is_file():
        return _indexed(index, shape, width)
    if files := sorted(folder.glob("*.safetensors")):
        usual = [file for file in files if not file.name.startswith("consolidated")]
        return Checkpoint(shape, _stored(usual or files, width))
    if (index := folder / "pytorch_model.bin.index.json").is_file():
        return _indexed(index, shape, width)
    files = sorted(folder.glob("pytorch_model*.bin"))
    return Checkpoint(shape, _stored(files, width) if files else _by_shape(shape))


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


def _indexed(index: Path, shape: Shape, width: int) -> Checkpoint:
    """What the files that `index` names hold, and by its total those that are not here."""
    content = checkpoint_json(index)
    try:
        names = sorted(set(content.get("weight_map", {}).values()))
        total = int(content.get("metadata", {}).get("total_size", 0))
        files = [index.parent / name for name in names]
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise broken(index, "an index of a checkpoint") from None
    here = [file for file in files if file.is_file()]
    found, missing = _stored(here, width), [file.name for file in files if file not in here]
    if files and not missing:
        return Checkpoint(shape, found)
    if not total:
        return Checkpoint(shape, _by_shape(shape), missing)
    rest = max(0, total - sum(file.stat().st_size for file in here)) // width
    return Checkpoint(shape, replace(found, others=found.others + rest), missing)


def _stored(files: Iterable[Path], width: int) -> Weights:
    """What is in `files`; those that are not safetensors hold numbers of `width` bytes."""
    each = [_of_file(file, width) for file in files]
    return Weights(
        sum(one.matrices for one in each), sum(one.others for one in each), sum(one.packed for one in each)
    )


def _of_file(file: Path, width: int) -> Weights:
    if file.suffix == ".safetensors":
        try:
            return _counted(_header(file))
        except (OSError, struct.error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise broken(file, "a safetensors file") from None
    if file.stat().st_size < SMALLEST:
        raise broken(file, "PyTorch's file of weights")
    return Weights(0, file.stat().st_size // width)


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


def _counted(tensors: Mapping[str, Mapping[str, Any]]) -> Weights:
    matrices = others = packed = 0
    for name, tensor in tensors.items():
        start, end = tensor["data_offsets"]
        width = FLOATS.get(tensor["dtype"])
        if width is None:
            packed += end - start
        elif len(tensor["shape"]) > 1 and not ("embed" in name or "lm_head" in name):
            matrices += (end - start) // width
        else:
            others += (end - start) // width
    return Weights(matrices, others, packed)
