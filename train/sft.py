"""Supervised fine-tuning of the student on synthesised trajectories, with TRL's SFTTrainer.

Trains on the token ids that were synthesised: the prompt carries no loss, everything after it does.
Text is never rendered or tokenised again. Set-up of the paper: full parameters, AdamW, batch 128 (of
packed rows), learning rate 5e-5, up to 9 epochs, 40K context.

One process trains by itself; several, or ZeRO, are started by `train.launch`. Whatever the devices, the
global batches are the same (`train.batches`), and so is their loss (`train.losses`).

Not covered: FSDP; tensor and pipeline parallelism; models too large for one device's memory outside
ZeRO-3.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, TrainerCallback
from trl.trainer.sft_config import SFTConfig

from tessy.artifacts import read_json, read_parquet, write_json
from tessy.chat import Renderer, load_tokenizer
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import Trajectory
from tessy.stages.synthesize import FILE
from tessy.training import EPOCHS, TrainExecution
from train.answer import require_answer
from train.attention import check_packing
from train.batches import Collator, Row, Split, pack, schedule
from train.checkpoints import KeepLast, Watch, export, require_disk, train
from train.examples import Example, Limits, examples
from train.launch import launch
from train.losses import SpanTrainer, totals


def run(job: Job) -> None:
    """The stage: train in this process or in several, then have what came out answer one prompt."""
    spread = TrainExecution.model_validate(job.execution["train"])
    if spread.world > 1 or spread.zero:
        launch(job, spread)
    else:
        fine_tune(job)
    trajectories = read_parquet(job.inputs["trajectories"] / FILE, Trajectory)
    first = next(t for t in trajectories if t.stop_reason == "finished")
    prompt = first.student_token_ids[: first.prompt_tokens]
    answer = require_answer(job.out / "model", prompt, spread.answer_with)
    job.say(f"the checkpoint answers {first.sample_id} with {answer[:60]!r}")


def fine_tune(job: Job) -> None:
    """Train and export; every process of a run calls this."""
    settings, seed = job.config["train"], job.config["seed"]
    spread = TrainExecution.model_validate(job.execution["train"])
    source, revision = starting_point(job)
    config = AutoConfig.from_pretrained(source, revision=revision)
    if config.num_attention_heads % spread.sequence_parallel:
        raise UserError(
            f"execution.train.sequence_parallel {spread.sequence_parallel} does not divide the model's "
            f"{config.num_attention_heads} attention heads; choose a divisor"
        )
    tokenizer = load_tokenizer(source, revision)
    found = examples(
        read_parquet(job.inputs["trajectories"] / FILE, Trajectory),
        Renderer(tokenizer, job.reference("model")["format"]),
        Limits(settings["max_length"], config.max_position_embeddings, config.vocab_size),
        settings["system_prompt"],
    )
    lengths = [len(example) for example in found]
    rows: list[Row] = [(sample,) for sample in range(len(found))]
    if settings["packing"]:
        check_packing(config, spread.attention, device())
        rows = pack(lengths, settings["max_length"])
    job.say(f"{len(found)} trajectories in {len(rows)} rows, {sum(lengths):,} tokens")
    require_disk(job.out, disk_needed(config, settings))
    torch.manual_seed(seed)
    # Before the model: from here on, ZeRO-3 spreads a model's weights while they are loaded.
    args = arguments(job, settings, spread, len(rows))
    model = AutoModelForCausalLM.from_pretrained(
        source, revision=revision, dtype=number_type(settings, spread), attn_implementation=spread.attention
    )
    # The student's own is copied at the end. Some models' would be refused when a checkpoint is saved.
    model.generation_config = GenerationConfig()
    trainer = SpanTrainer(
        model=model,
        args=args,
        train_dataset=micro_batches(rows, found, settings, spread, seed),
        data_collator=collator(found, tokenizer, settings, spread),
        processing_class=tokenizer,
        peft_config=adapters(settings),
        callbacks=[Watch(job), KeepLast()],
        loss_weights=settings["loss_weights"],
        epochs=settings["epochs"],
    )
    trainer.add_callback(KeepEpochs(trainer, job, settings["evaluate_epochs"], (source, revision)))
    train(trainer, job)
    export(trainer, (source, revision), job.out / "model")
    if trainer.is_world_process_zero():
        write_json(job.out / "losses.json", totals(trainer.state.log_history))


class KeepEpochs(TrainerCallback):
    """Exports the model after chosen epochs. A step's checkpoint is written later than its export, so a
    resumed run never lacks one."""

    def __init__(self, trainer: Any, job: Job, epochs: list[int], source: tuple[str, str | None]) -> None:
        self.trainer, self.job, self.epochs, self.source = trainer, job, epochs, source

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        epoch, left = divmod(state.global_step * self.trainer.epochs, state.max_steps)
        if left == 0 and epoch in self.epochs:
            export(self.trainer, self.source, self.job.out / EPOCHS / str(epoch) / "model")


def starting_point(job: Job) -> tuple[str, str | None]:
    """Source and revision of the model to train: the student, or what `train.start` names instead."""
    start = job.config["train"]["start"]
    return (start["source"], start["revision"]) if start else job.model()


def device() -> torch.device:
    """Where this process trains."""
    index = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", index) if torch.cuda.is_available() else torch.device("cpu")


def backend() -> str:
    """How processes talk."""
    return "nccl" if torch.cuda.is_available() else "gloo"


def number_type(settings: dict[str, Any], spread: TrainExecution) -> torch.dtype:
    """Of the weights as loaded. ZeRO keeps a float32 copy of its own, and frozen weights need none."""
    half = torch.cuda.is_available() and (spread.zero or settings["method"] == "lora")
    return torch.bfloat16 if half else torch.float32


def micro_batches(
    rows: list[Row], found: list[Example], settings: dict[str, Any], spread: TrainExecution, seed: int
) -> Dataset:
    """Every micro-batch of the run, in the order in which the processes take them by turns."""
    batch = settings["batch_size"]
    split = Split(batch, spread.replicas, spread.accumulation(batch), spread.sequence_parallel)
    return Dataset.from_dict(schedule(rows, found, split, settings["epochs"], seed))


def collator(
    found: list[Example], tokenizer: Any, settings: dict[str, Any], spread: TrainExecution
) -> Collator:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return Collator(found, pad, flat=settings["packing"] or spread.sequence_parallel > 1)


def adapters(settings: dict[str, Any]) -> Any:
    """Low-rank adapters on every linear layer but the last, or None (paper's ablation: r 8, alpha 16)."""
    if settings["method"] == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings["lora_rank"],
        lora_alpha=settings["lora_alpha"],
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def disk_needed(config: Any, settings: dict[str, Any]) -> int:
    """Bytes: two checkpoints side by side (weights and two moments in float32), and the models kept."""
    with torch.device("meta"):
        weights = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    trained = weights if settings["method"] == "full" else weights // 50
    return 2 * 12 * trained + 4 * weights * (1 + len(settings["evaluate_epochs"]))


def arguments(job: Job, settings: dict[str, Any], spread: TrainExecution, rows: int) -> SFTConfig:
    """The recipe's settings in TRL's terms. To the trainer the whole run is one pass over micro-batches
    that are made up already, so it neither shuffles, pads, packs nor cuts."""
    gpu, seed = torch.cuda.is_available(), job.config["seed"]
    steps = -(-rows // settings["batch_size"]) * settings["epochs"]
    return SFTConfig(
        output_dir=str(job.work / f"checkpoints-zero{spread.zero}-{spread.world}"),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=spread.accumulation(settings["batch_size"]),
        train_sampling_strategy="sequential",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        learning_rate=settings["learning_rate"],
        lr_scheduler_type=settings["schedule"],
        warmup_steps=round(settings["warmup_share"] * steps),
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        router_aux_loss_coef=0.0,
        seed=seed,
        data_seed=seed,
        logging_steps=1,
        save_steps=spread.save_steps,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not gpu,
        ddp_backend=backend() if spread.world > 1 else None,
        bf16=gpu,
        gradient_checkpointing=gpu,
        dataloader_pin_memory=gpu,
        **distributed(spread),
    )


def distributed(spread: TrainExecution) -> dict[str, Any]:
    """What DeepSpeed is told, if it is used at all."""
    if not spread.zero:
        return {}
    import deepspeed

    # Before any weight is loaded, or ZeRO-3 would believe itself alone.
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
