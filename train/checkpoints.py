"""What every training run shares: resuming, progress, retention, and export.

A checkpoint counts only once its marker file exists, which is written after everything else and after every
process has written its part. So a kill while saving loses the steps since the previous checkpoint and
never breaks a resume.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tessy.artifacts import read_json, write_json
from tessy.errors import UserError
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from train.chat import Chat, copy_tokenizer, local_files, write_chat

COMPLETE = "complete"


class Watch(TrainerCallback):
    """Reports progress and metrics of a Trainer to its job, and marks complete checkpoints."""

    def __init__(self, job: Job[StageConfig]) -> None:
        self.job = job

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.job.progress(state.global_step, state.max_steps, "steps")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs and state.is_world_process_zero:
            self.job.tracker.log(
                {f"train/{key}": value for key, value in logs.items()}, step=state.global_step
            )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        _wait_for_all()
        if state.is_world_process_zero:
            (Path(args.output_dir or ".") / f"checkpoint-{state.global_step}" / COMPLETE).touch()


A = TypeVar("A", bound=TrainingArguments)


def on_one_device(arguments: A) -> A:
    """Arguments for training on one device even if more are visible: a Trainer would use all of them, with a
    batch that is as many times larger."""
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


class KeepLast(TrainerCallback):
    """Removes every checkpoint but the newest, once that one is complete. Must come after `Watch`."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        newest = Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
        for path in newest.parent.glob("checkpoint-*") if state.is_world_process_zero else ():
            if path != newest:
                shutil.rmtree(path)


def latest_checkpoint(folder: Path) -> str | None:
    """The last complete checkpoint in `folder`."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    found = sorted(complete, key=lambda path: int(path.name.rpartition("-")[2]))
    return str(found[-1]) if found else None


def train(trainer: Any, job: Job[StageConfig]) -> None:
    """Train to the end from the last complete checkpoint, and write the loss curve to the artifact."""
    folder = Path(trainer.args.output_dir)
    if trainer.is_world_process_zero():
        for half in folder.glob("checkpoint-*"):
            if not (half / COMPLETE).exists():
                shutil.rmtree(half)
    _wait_for_all()
    trainer.train(resume_from_checkpoint=latest_checkpoint(folder))
    if trainer.is_world_process_zero():
        steps = [row for row in trainer.state.log_history if "loss" in row]
        # In one order: of steps that were read from a checkpoint the trainer has sorted the names.
        curve = [
            {key: value for key, value in sorted(row.items()) if key == "step" or key.startswith("loss")}
            for row in steps
        ]
        write_json(job.out / "curve.json", curve)


def export(trainer: Any, source: tuple[str, str | None], folder: Path, chat: Chat | None = None) -> None:
    """Save the trained model, adapters merged, in the dtype of `source`, from which training started. A
    model that chats gets the files and end token of `chat`; others the tokenizer files of `source` as they
    are there. Every process has to call this."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.is_world_process_zero():
        model = trainer.model
        if hasattr(model, "peft_config"):
            adapters = model.peft_config["default"]
            state = merged(state, adapters.lora_alpha / adapters.r)
            model = model.get_base_model()
        origin = local_files(source)
        dtype = dtype_of(read_json(origin / "config.json"))
        tied = model.all_tied_weights_keys
        state = {key: _cast(value, getattr(torch, dtype)) for key, value in state.items() if key not in tied}
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, state_dict=state)
        write_json(folder / "config.json", read_json(folder / "config.json") | {"dtype": dtype})
        if chat:
            write_chat(folder, chat)
        else:
            copy_tokenizer(source, folder)
    _wait_for_all()


def dtype_of(config: Mapping[str, Any]) -> str:
    """The dtype of a checkpoint's weights, from its `config.json`; older ones use the second key."""
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")


def merged(state: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """The weights of the base model with what low-rank adapters add: W + scale * B A (computed in float32),
    from the state of a `PeftModel`."""
    out = {}
    for key, weight in state.items():
        if ".lora_" in key:
            continue
        if key.endswith(".base_layer.weight"):
            down, up = (
                state[key.replace("base_layer.weight", f"lora_{side}.default.weight")] for side in "AB"
            )
            weight = (weight.float() + scale * up.float() @ down.float()).to(weight.dtype)
        out[key.removeprefix("base_model.model.").replace(".base_layer", "")] = weight
    return out


def require_disk(folder: Path, needed: int) -> None:
    """Raise `UserError` unless `folder` can grow to `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free + sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < needed:
        raise UserError(
            f"--runs-dir: {folder} has {free >> 20} MiB free, training leaves up to {needed >> 20} MiB of "
            "checkpoints; free some or choose another disk"
        )


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if value.is_floating_point() else value


def _wait_for_all() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
