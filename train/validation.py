"""The loss on held-out problems after every epoch, by kind of token; training sees none of it.

Every process computes all of it, so that sharded weights are gathered by all at once. With packing each
sample has a row of its own here: attention is the same.

Not covered: choosing an epoch by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from tessy.artifacts import read_json, write_json
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from train.batches import Collator
from train.examples import Example
from train.losses import by_kind, metrics

VALIDATION = "validation.json"
"""By epoch, the mean nll of held-out tokens, and that of each kind."""


class Validate(TrainerCallback):
    """Measures `examples` at the end of every epoch. A resumed run measures an epoch again, or finds it
    measured."""

    def __init__(self, trainer: Any, job: Job[StageConfig], examples: Sequence[Example]) -> None:
        self.trainer, self.job, self.examples = trainer, job, examples
        self._kept = job.work / VALIDATION
        self.found: dict[str, dict[str, float]] = read_json(self._kept) if self._kept.exists() else {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        epoch, left = divmod(state.global_step * self.trainer.epochs, state.max_steps)
        if left == 0:
            self.found[str(epoch)] = found = loss_of(self.trainer, self.examples)
            if state.is_world_process_zero:
                write_json(self._kept, self.found)
                self.job.tracker.log(
                    {f"validation/{key}": value for key, value in found.items()}, step=state.global_step
                )

    def write(self, out: Path) -> None:
        """Write what was found, epochs in order."""
        write_json(
            out / VALIDATION, {str(epoch): self.found[str(epoch)] for epoch in sorted(map(int, self.found))}
        )


def loss_of(trainer: Any, examples: Sequence[Example]) -> dict[str, float]:
    """Mean nll of all tokens with loss, `nll`, and of each kind; counts of tokens by kind."""
    pad = trainer.processing_class.pad_token_id or 0
    collate, device = Collator(examples, pad, flat=False), trainer.args.device
    model, was_training = trainer.model_wrapped, trainer.model.training
    sums = torch.zeros_like(trainer.sums)
    model.eval()
    with torch.no_grad():
        for number, example in enumerate(examples):
            micro = {"samples": [[number]], "length": len(example), "targets": example.targets}
            inputs = {
                key: value.to(device) for key, value in collate([micro]).items() if hasattr(value, "to")
            }
            kinds = inputs.pop("kinds")[:, :-1]
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            nll = -outputs.log_probs
            sums += by_kind(nll, nll, outputs.is_top1, kinds, 1)
    model.train(was_training)
    found = metrics(sums)
    tokens = sum(value for key, value in found.items() if key.startswith("tokens_"))
    whole = sum(value for key, value in found.items() if key.startswith("loss_"))
    kept = {key: value for key, value in found.items() if not key.startswith("loss_")}
    return {"nll": whole / tokens if tokens else 0.0, **kept}
