"""Supervised fine-tuning of the student on synthesised trajectories, with TRL's SFTTrainer.

Trains on the token ids that were synthesised: the prompt carries no loss, everything after it does.
Text is never rendered or tokenised again. Set-up of the paper: full parameters, batch 128, learning
rate 5e-5, up to 9 epochs.

Not covered: several devices, packing, adapters.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tessy.artifacts import read_parquet
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import Trajectory
from tessy.stages.synthesize import FILE
from train.checkpoints import Watch, export, train


def run(job: Job) -> None:
    settings, seed = job.config["train"], job.config["seed"]
    source, revision = job.model()
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    trajectories = [
        t for t in read_parquet(job.inputs["trajectories"] / FILE, Trajectory) if t.stop_reason == "finished"
    ]
    check(trajectories, tokenizer, settings["max_length"])
    job.say(
        f"{len(trajectories)} trajectories, {sum(len(t.student_token_ids) for t in trajectories):,} tokens"
    )
    torch.manual_seed(seed)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(source, revision=revision, dtype=torch.float32),
        args=arguments(job, settings, seed, len(trajectories)),
        train_dataset=Dataset.from_list([example(t) for t in trajectories]),
        processing_class=tokenizer,
        callbacks=[Watch(job)],
    )
    train(trainer, job)
    export(trainer, (source, revision), job.out / "model")


def example(trajectory: Trajectory) -> dict[str, list[int]]:
    """Ids of the whole sample and their labels: -100 on the prompt, the ids themselves after it."""
    ids, prompt = trajectory.student_token_ids, trajectory.prompt_tokens
    return {"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]}


def arguments(job: Job, settings: dict[str, Any], seed: int, samples: int) -> SFTConfig:
    """The recipe's settings in TRL's terms; `batch_size` is the global one."""
    steps = -(-samples // settings["batch_size"]) * settings["epochs"]
    return SFTConfig(
        output_dir=str(job.work / "checkpoints"),
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type=settings["schedule"],
        warmup_steps=round(settings["warmup_share"] * steps),
        weight_decay=settings["weight_decay"],
        # `check` has refused longer ones: nothing is ever cut.
        max_length=None,
        packing=False,
        seed=seed,
        data_seed=seed,
        logging_steps=max(1, steps // 100),
        save_steps=max(20, steps // 5),
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        gradient_checkpointing=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def check(trajectories: list[Trajectory], tokenizer: Any, max_length: int) -> None:
    """Refuse a set that would train on something else than its traces; names the offending sample."""
    if not trajectories:
        raise UserError(
            "trajectories: none is finished, so there is nothing to train on; look at their stop_reason"
        )
    size = len(tokenizer)
    for t in trajectories:
        ids, prompt = t.student_token_ids, t.prompt_tokens
        if max(ids) >= size:
            raise UserError(
                f"sample {t.sample_id}: id {max(ids)} is outside the student's vocabulary of "
                f"{size}; synthesise again with this student"
            )
        if len(ids) > max_length:
            raise UserError(
                f"sample {t.sample_id}: {len(ids)} tokens, train.max_length is {max_length}; "
                "raise it or lower synthesis.max_tokens"
            )
        if not 0 < prompt < len(ids):
            raise UserError(
                f"sample {t.sample_id}: prompt of {prompt} tokens in a sequence of {len(ids)}; "
                "nothing would be learned"
            )
        text = tokenizer.decode(ids[prompt:], skip_special_tokens=False)
        if t.text not in text:
            raise UserError(
                f"sample {t.sample_id}: its token ids do not decode to its text; they belong to "
                "another tokenizer"
            )
