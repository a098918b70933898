"""The loss of SFT, and the terms it is the sum of: one per kind of token (paper, section 2).

With target tokens i of a global batch, N of them, the loss is the sum over i of w(kind of i) * nll(i) / N.
The terms logged per step are the parts of this sum by kind, so they add up to the loss; for each
kind the plain mean nll of its tokens is logged, too.

Not covered: the load-balancing loss of mixture-of-experts models, which is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from trl.trainer.sft_trainer import SFTTrainer

from tessy.records import SpanKind
from train.examples import KINDS

TERM, NLL, COUNT, RIGHT = range(4)
"""What is summed per kind: its term of the loss, plain nll, tokens, and tokens that were predicted."""


def by_kind(nll: Tensor, weighted: Tensor, right: Tensor, kinds: Tensor, targets: int | Tensor) -> Tensor:
    """(kinds, 4) sums over the tokens of a micro-batch, in double precision; `kinds` is `PROMPT` where
    there is no loss."""
    mask = kinds >= 0
    columns = torch.stack([weighted / targets, nll, torch.ones_like(nll), right.to(nll.dtype)], -1)
    sums = torch.zeros(len(KINDS), columns.shape[-1], dtype=torch.float64, device=nll.device)
    return sums.index_add_(0, kinds[mask], columns[mask].double())


def metrics(sums: Tensor) -> dict[str, float]:
    """The logged metrics of one step's sums: terms that add up to the loss, and per kind the mean nll, the
    number of tokens and the share predicted correctly."""
    logs: dict[str, float] = {}
    for kind, (term, nll, count, right) in zip(KINDS, sums.tolist(), strict=True):
        if count:
            logs |= {
                f"loss_{kind}": term,
                f"nll_{kind}": nll / count,
                f"accuracy_{kind}": right / count,
                f"tokens_{kind}": count,
            }
    return logs


def totals(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Totals of a whole run's log: per kind its tokens, mean nll, and share of the summed loss."""
    steps = [row for row in history if "loss" in row]
    whole = sum(row["loss"] for row in steps)
    out: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        seen = [row for row in steps if f"loss_{kind}" in row]
        tokens = sum(row[f"tokens_{kind}"] for row in seen)
        if tokens:
            nll = sum(row[f"nll_{kind}"] * row[f"tokens_{kind}"] for row in seen) / tokens
            share = sum(row[f"loss_{kind}"] for row in seen) / whole
            out[kind] = {"tokens": tokens, "nll": nll, "share_of_loss": share}
    return out


class SpanTrainer(SFTTrainer):
    """TRL's trainer with the loss above. Batches come from `train.batches.Collator`."""

    def __init__(
        self, *args: Any, loss_weights: Mapping[SpanKind, float], epochs: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.epochs = epochs
        # `targets` counts the whole global batch: nothing is left to divide by accumulation steps.
        self.loss_is_scaled_for_ga = True  # type: ignore[assignment]
        weights = [loss_weights.get(kind, 1.0) for kind in KINDS]
        self.weights = torch.tensor(weights, device=self.args.device)
        self.sums = torch.zeros(len(KINDS), 4, dtype=torch.float64, device=self.args.device)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        inputs = dict(inputs)
        kinds, targets = inputs.pop("kinds"), inputs.pop("targets")
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        # Where a sequence is spread over devices, labels come shifted already, and every position counts.
        kinds = kinds if "shift_labels" in inputs else kinds[:, :-1]
        nll = -outputs.log_probs
        weighted = nll * self.weights[kinds.clamp(min=0)]
        with torch.no_grad():
            self.sums += by_kind(nll, weighted, outputs.is_top1, kinds, targets)
        # Gradients are averaged over processes, and `targets` has counted them all.
        return weighted.sum() / targets * self.accelerator.num_processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= metrics(self.accelerator.reduce(self.sums, "sum"))
            self.sums.zero_()
            # For the trainer the whole run is one epoch.
            self.state.epoch = self.epochs * self.state.global_step / self.state.max_steps
        super().log(logs, start_time)
