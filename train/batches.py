"""Assigns samples to optimizer steps, micro-batches and devices.

The recipe decides the global batches: the same rows in the same order on any devices. Their distribution
is derived: sorted by length into equal micro-batches, so that rows that are processed together have
similar lengths and need little padding. Grouping never crosses a global batch, so it does not change what is
learned.

Rows are single samples, or several packed whole into up to `max_length` tokens. Packed rows are laid
out flat, with positions that restart at every sample, which tells attention where one ends
(`train.attention` checks that it does).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from train.examples import PROMPT, Example

IGNORED = -100
"""The label of a token without loss, by PyTorch's convention."""
Row = tuple[int, ...]
"""The samples of a row, by number."""
NOTHING = Example(np.zeros(2, np.int32), np.full(2, PROMPT, np.int8), prompt=2)
"""Stands in, without loss, on devices that a last, smaller batch leaves without rows."""


@dataclass(frozen=True, slots=True)
class Split:
    """How a global batch of `batch` rows is spread: over `replicas`, in `accumulation` micro-batches each.
    `shared` devices make up a replica and divide each sequence among them."""

    batch: int
    replicas: int
    accumulation: int
    shared: int = 1

    @property
    def parts(self) -> int:
        return self.replicas * self.accumulation


def pack(lengths: Sequence[int], capacity: int) -> list[Row]:
    """Samples packed whole into rows of at most `capacity` tokens: best fit, longest first."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, row), sorted
    for sample in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect_left(room, (lengths[sample], -1))
        free, row = room.pop(at) if at < len(room) else (capacity, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(sample)
        insort(room, (free - lengths[sample], row))
    return [tuple(row) for row in rows]


def steps(rows: int, batch: int, epochs: int, seed: int) -> Iterator[list[int]]:
    """The rows of every optimizer step. Each epoch has its own order; its last batch may be incomplete."""
    for epoch in range(epochs):
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed + epoch)).tolist()
        for start in range(0, rows, batch):
            yield order[start : start + batch]


def deal(rows: Sequence[int], lengths: Sequence[int], parts: int) -> list[list[int]]:
    """One step's rows as `parts` micro-batches whose sizes differ by at most one; longest first, so that
    parallel ones have similar lengths, and those that exceed memory fail at once."""
    if parts == 1:
        return [list(rows)]
    ordered = sorted(rows, key=lambda row: (-lengths[row], row))
    bounds = [part * len(ordered) // parts for part in range(parts + 1)]
    return [ordered[start:end] for start, end in pairwise(bounds)]


def schedule(
    rows: Sequence[Row], examples: Sequence[Example], split: Split, epochs: int, seed: int
) -> dict[str, list[Any]]:
    """Every micro-batch of a training run as columns `samples` (its rows), `length` (tokens it has when laid
    out flat) and `targets` (tokens with loss in its whole global batch), ordered by step, then
    accumulation, then replica."""
    lengths = [sum(len(examples[sample]) for sample in row) for row in rows]
    columns: dict[str, list[Any]] = {"samples": [], "length": [], "targets": []}
    for step in steps(len(rows), split.batch, epochs, seed):
        targets = sum(examples[sample].targets for row in step for sample in rows[row])
        for part in deal(step, lengths, split.parts):
            columns["samples"].append([list(rows[row]) for row in part])
            columns["length"].append(sum(lengths[row] for row in part) or len(NOTHING))
            columns["targets"].append(targets)
    columns["length"] = even(columns["length"], split.shared)
    return columns


def even(lengths: Sequence[int], shared: int) -> list[int]:
    """Lengths at which `shared` devices can exchange and divide `shared` micro-batches in a row: the
    longest's, rounded up to a multiple."""
    groups = (lengths[start : start + shared] for start in range(0, len(lengths), shared))
    return [-(-max(group) // shared) * shared for group in groups for _ in group]


@dataclass(frozen=True, slots=True)
class Collator:
    """Turns one scheduled micro-batch into tensors. `flat`: one row, samples one after the other, filled
    up to the scheduled length; else one padded row per sample."""

    examples: Sequence[Example]
    pad: int
    flat: bool

    def __call__(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`input_ids`, `labels`, `kinds` of the *next* token, each (rows, tokens); `attention_mask` or
        `position_ids`; and `targets`."""
        (micro,) = batch
        chosen = [self.examples[sample] for row in micro["samples"] for sample in row]
        parts = [_tensors(example) for example in chosen or [NOTHING]]
        laid_out = self._flat(parts, micro["length"]) if self.flat else self._padded(parts)
        return {**laid_out, "targets": micro["targets"]}

    def _padded(self, parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        longest = max(len(part["input_ids"]) for part in parts)
        rows = [_extended(part, longest, self.pad) for part in parts]
        batch = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
        del batch["position_ids"]
        return batch

    def _flat(self, parts: Sequence[dict[str, Tensor]], length: int) -> dict[str, Tensor]:
        missing = length - sum(len(part["input_ids"]) for part in parts)
        parts = [*parts, _filled(missing, {"input_ids": self.pad})]
        row = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        # Without a mask: with one, attention would not look at the positions.
        del row["attention_mask"]
        return {key: value[None] for key, value in row.items()}


def check_batch(collator: Any, micro: dict[str, Any], examples: Sequence[Example]) -> None:
    """Raise `RuntimeError` unless the trainer's own collator and data give the intended micro-batch: loss on
    exactly the responses of its samples, whole and in order."""
    batch = collator([micro])
    learned = batch["labels"] != IGNORED
    samples = [sample for row in micro["samples"] for sample in row]
    meant = [token for sample in samples for token in examples[sample].ids[examples[sample].prompt :]]
    if not batch["input_ids"][learned].tolist() == batch["labels"][learned].tolist() == meant:
        raise RuntimeError(f"the first batch would not train on the responses of samples {samples}")


def _tensors(example: Example) -> dict[str, Tensor]:
    ids = torch.from_numpy(example.ids).long()
    labels = ids.clone()
    labels[: example.prompt] = IGNORED
    kinds = torch.from_numpy(example.kinds).long().roll(-1)
    kinds[-1] = PROMPT
    return {
        "input_ids": ids,
        "labels": labels,
        "kinds": kinds,
        "attention_mask": torch.ones_like(ids),
        "position_ids": torch.arange(len(ids)),
    }


def _filled(tokens: int, values: dict[str, int]) -> dict[str, Tensor]:
    fill = {"labels": IGNORED, "kinds": PROMPT, "attention_mask": 1} | values
    rows = {key: torch.full((tokens,), value) for key, value in fill.items()}
    return {**rows, "position_ids": torch.arange(tokens)}


def _extended(part: dict[str, Tensor], length: int, pad: int) -> dict[str, Tensor]:
    missing = length - len(part["input_ids"])
    filler = _filled(missing, {"input_ids": pad, "attention_mask": 0})
    return {key: torch.cat([part[key], filler[key]]) for key in part}
