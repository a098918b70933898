"""Sets up a training run: the recipe's settings as those of TRL, PEFT and DeepSpeed.

For the trainer a whole run is one epoch over prepared micro-batches (`train.batches`), so it
does not shuffle, pad, pack or truncate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import GenerationConfig, TrainerCallback
from transformers.integrations.liger import apply_liger_kernel
from transformers.modeling_layers import GradientCheckpointingLayer
from trl.trainer.sft_config import SFTConfig

from tessy.artifacts import read_json
from tessy.config.train import TrainExecution, Training
from train.adapters import fuse
from train.batches import Collator, Row, Split, schedule
from train.checkpoints import on_one_device
from train.examples import Example
from train.losses import SpanTrainer
from train.sdpa import implementation

LIGER = {"cross_entropy": False, "fused_linear_cross_entropy": False}
"""Liger's kernels but those of the loss, for which TRL has its own."""
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}
"""The recipe's optimizers by transformers' names."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The recipe's section `train` for one seed, how it is spread, and the folder for checkpoints."""

    train: Training
    spread: TrainExecution
    seed: int
    folder: Path


def make_trainer(
    setting: Setting,
    load_model: Callable[..., Any],
    tokenizer: Any,
    examples: Sequence[Example],
    rows: Sequence[Row],
    callbacks: list[TrainerCallback],
) -> SpanTrainer:
    """A trainer for `rows`; `load_model` is given the dtype and attention implementation."""
    torch.manual_seed(setting.seed)
    # Created before the model: from here on, ZeRO-3 shards weights while they are loaded.
    args = on_one_device(arguments(setting, len(rows)))
    model = load_model(dtype=dtype_of(setting), attn_implementation=implementation(setting.spread))
    if setting.spread.kernels == "liger":
        apply_liger_kernel(model, LIGER)
    # The student's own is copied at the end; some models' would be rejected when a checkpoint is saved.
    model.generation_config = GenerationConfig()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    flat = setting.train.packing or setting.spread.sequence_parallel > 1
    trainer = SpanTrainer(
        model=model,
        args=args,
        train_dataset=micro_batches(setting, examples, rows),
        data_collator=Collator(examples, pad, flat),
        processing_class=tokenizer,
        peft_config=adapters(setting.train),
        callbacks=[*callbacks, KeepLayers(setting.spread.recomputed_layers)],
        loss_weights=setting.train.loss_weights,
        epochs=setting.train.epochs,
    )
    if setting.train.method == "lora" and setting.spread.zero != 3:
        assert trainer.model is not None
        fuse(trainer.model)
    return trainer


class KeepLayers(TrainerCallback):
    """Recomputes only the first `recomputed` layers, if that is a number; others keep their activations."""

    def __init__(self, recomputed: int | None) -> None:
        self.recomputed = recomputed

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if self.recomputed is not None:
            for layer in decoder_layers(model)[self.recomputed :]:
                layer.gradient_checkpointing = False


def decoder_layers(model: Any) -> list[Any]:
    """The layers of `model` that are recomputed one by one, in their order."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def micro_batches(setting: Setting, examples: Sequence[Example], rows: Sequence[Row]) -> Dataset:
    """Every micro-batch of the run, in the order in which the processes take them round-robin."""
    batch, spread = setting.train.batch_size, setting.spread
    split = Split(batch, spread.replicas, spread.accumulation(batch), spread.sequence_parallel)
    return Dataset.from_dict(schedule(rows, examples, split, setting.train.epochs, setting.seed))


def device() -> torch.device:
    """The device of this process."""
    index = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", index) if torch.cuda.is_available() else torch.device("cpu")


def backend() -> str:
    """The communication backend of the processes."""
    return "nccl" if torch.cuda.is_available() else "gloo"


def dtype_of(setting: Setting) -> torch.dtype:
    """The dtype of the loaded weights. ZeRO keeps its own float32 copy, and frozen weights need none."""
    half = torch.cuda.is_available() and (setting.spread.zero or setting.train.method == "lora")
    return torch.bfloat16 if half else torch.float32


def adapters(train: Training) -> Any:
    """Low-rank adapters on every linear layer but the last, or None (paper's ablation: r 8, alpha 16)."""
    if train.method == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=train.lora_rank,
        lora_alpha=train.lora_alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def arguments(setting: Setting, rows: int) -> SFTConfig:
    """The settings in TRL's terms."""
    train, spread, gpu = setting.train, setting.spread, torch.cuda.is_available()
    recompute = spread.recompute or ("layers" if gpu else "nothing")
    steps = -(-rows // train.batch_size) * train.epochs
    return SFTConfig(
        # A checkpoint can be resumed only with the distribution it was made with.
        output_dir=str(setting.folder / f"checkpoints-zero{spread.zero}-{spread.world}"),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=spread.accumulation(train.batch_size),
        train_sampling_strategy="sequential",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        optim=OPTIMIZERS[train.optimizer],
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.schedule,
        warmup_steps=round(train.warmup_share * steps),
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        router_aux_loss_coef=0.0,
        seed=setting.seed,
        data_seed=setting.seed,
        logging_steps=1,
        save_steps=spread.save_steps,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not gpu,
        ddp_backend=backend() if spread.world > 1 else None,
        bf16=gpu,
        gradient_checkpointing=recompute != "nothing",
        gradient_checkpointing_kwargs={"selective": True} if recompute == "all_but_attention" else None,
        dataloader_pin_memory=gpu,
        **distributed(spread),
    )


def distributed(spread: TrainExecution) -> dict[str, Any]:
    """The DeepSpeed configuration, if it is used."""
    if not spread.zero:
        return {}
    import deepspeed

    # Without a GPU it is compiled for a minute; only inference by tensor parallelism would call it.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # Before any weights are loaded, or ZeRO-3 would assume a single process.
    deepspeed.init_distributed(dist_backend=backend())
    config = read_json(Path(__file__).with_name(f"zero{spread.zero}.json"))
    if spread.offload:
        config["zero_optimization"]["offload_optimizer"] = {"device": "cpu"}
        if spread.zero == 3:
            config["zero_optimization"]["offload_param"] = {"device": "cpu"}
    if spread.sequence_parallel == 1:
        return {"deepspeed": config}
    from accelerate.parallelism_config import ParallelismConfig
    from accelerate.utils import DeepSpeedSequenceParallelConfig

    handler = DeepSpeedSequenceParallelConfig(
        sp_seq_length_is_variable=True, sp_attn_implementation=spread.attention
    )
    shared = ParallelismConfig(sp_size=spread.sequence_parallel, sp_backend="deepspeed", sp_handler=handler)
    return {"deepspeed": config, "parallelism_config": shared}
