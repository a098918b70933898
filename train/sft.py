"""Supervised fine-tuning of the student on synthesised trajectories, with TRL's SFTTrainer.

Trains on the token ids that were synthesised: the prompt carries no loss, everything after it does.
Text is never rendered or tokenised again. Set-up of the paper: full parameters, AdamW, batch 128 (of
packed rows), learning rate 5e-5, up to 9 epochs, 40K context.

One process trains by itself; several, or ZeRO, are started by `train.launch`. On any devices, the
global batches are the same (`train.batches`), and so is their loss (`train.losses`).

Not covered: FSDP; tensor and pipeline parallelism; models too large for one device's memory outside
ZeRO-3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback

from tessy.artifacts import read_parquet, write_json
from tessy.chat import Renderer, load_renderer, load_tokenizer
from tessy.config.train import EPOCHS, TrainExecution, Training
from tessy.errors import UserError
from tessy.layout import LEFT_OUT, TRAJECTORIES
from tessy.records import Trajectory
from tessy.runtime.job import Job, Source
from tessy.sources import LeftOut
from tessy.stages.sft import SftStage
from train.answer import refuse_endless, stopping, trials
from train.attention import check_packing
from train.batches import Row, check_batch, pack
from train.chat import Chat, trained_chat
from train.checkpoints import KeepLast, Watch, export, require_disk, train
from train.examples import Example, Limits, examples
from train.launch import launch
from train.losses import totals
from train.sdpa import implementation
from train.setup import Setting, device, make_trainer
from train.validation import Validate


def run(job: Job[SftStage]) -> None:
    """The stage: train in this process or in several, then use the checkpoint as others will."""
    spread = job.execution.train
    if spread.world > 1 or spread.zero:
        launch(job, spread)
    else:
        fine_tune(job)
    try_out(job)


def try_out(job: Job[SftStage]) -> None:
    """Use the checkpoint as its users will and record how often it stops; raises `UserError` where it does
    so less often than the recipe requires."""
    check = job.execution.train.stop_check
    trajectories = read_parquet(job.inputs["trajectories"] / TRAJECTORIES, Trajectory)
    trial = trials(trajectories, job.config.train.system_prompt, check)
    for engine in dict.fromkeys(("transformers", job.execution.train.answer_with)):
        found = stopping(job.out / "model", trial, job.config.seed, engine)
        job.used.stopping[engine] = found
        said = f"{engine}: the checkpoint stops by itself in {found.stopped} of {found.prompts} answers"
        job.say(said if found.stopped == found.prompts else f"WARNING: {said}, see stopping.json")
        job.tracker.log({f"stopping/{engine}": found.share})
    write_json(job.out / "stopping.json", {name: asdict(one) for name, one in job.used.stopping.items()})
    refuse_endless(job.used.stopping, check)


def fine_tune(job: Job[SftStage]) -> None:
    """Train and export; every process of a run calls this."""
    settings, spread, origin = job.config.train, job.execution.train, starting_point(job)
    source, revision = origin
    config = AutoConfig.from_pretrained(source, revision=revision)
    tokenizer = load_tokenizer(source, revision)
    student, left_out = job.model(job.config.model), LeftOut()
    renderer = load_renderer(*student, job.config.model, tokenizer=tokenizer)
    found = load_examples(job, config, renderer, left_out)
    chat = trained_chat(student, renderer, found)
    rows = in_rows(found, config, settings, spread)
    job.say(f"{len(found)} trajectories in {len(rows)} rows, {sum(map(len, found)):,} tokens")
    for line in left_out.lines():
        job.say(line)
    require_disk(job.out, disk_needed(config, settings))
    if config.num_attention_heads % spread.sequence_parallel:
        raise UserError(
            f"execution.train.sequence_parallel {spread.sequence_parallel} does not divide the model's "
            f"{config.num_attention_heads} attention heads; choose a divisor"
        )
    trainer = make_trainer(
        Setting(settings, spread, job.config.seed, job.work),
        partial(AutoModelForCausalLM.from_pretrained, source, revision=revision),
        tokenizer,
        found,
        rows,
        [Watch(job), KeepLast()],
    )
    check_batch(trainer.data_collator, trainer.train_dataset[0], found)  # type: ignore[index]
    trainer.add_callback(KeepEpochs(trainer, job, settings.evaluate_epochs, origin, chat))
    validate = validation(trainer, job, config, renderer)
    train(trainer, job)
    export(trainer, origin, job.out / "model", chat)
    if trainer.is_world_process_zero():
        write_json(job.out / "losses.json", totals(trainer.state.log_history))
        write_json(job.out / LEFT_OUT, left_out.values())
        if validate:
            validate.write(job.out)


def validation(trainer: Any, job: Job[SftStage], config: Any, renderer: Renderer) -> Validate | None:
    """What measures the loss on held-out problems after every epoch, if the recipe asks for it."""
    if "validation" not in job.inputs:
        return None
    found = load_examples(job, config, renderer, name="validation")
    job.say(f"validation: {len(found)} trajectories of held-out problems")
    callback = Validate(trainer, job, found)
    trainer.add_callback(callback)
    return callback


def load_examples(
    job: Job[SftStage],
    config: Any,
    renderer: Renderer,
    left_out: LeftOut | None = None,
    name: str = "trajectories",
) -> list[Example]:
    """The trajectories of the job's input `name` as training sequences, all of them checked; those too long
    are in `left_out`."""
    settings = job.config.train
    vocabulary = min(config.vocab_size, 1 + max(renderer.tokenizer.get_vocab().values()))
    return examples(
        read_parquet(job.inputs[name] / TRAJECTORIES, Trajectory),
        renderer,
        Limits(settings.max_length, config.max_position_embeddings, vocabulary),
        settings.system_prompt,
        left_out,
    )


def in_rows(found: Sequence[Example], config: Any, settings: Training, spread: TrainExecution) -> list[Row]:
    """One sample per row, or as many as fit if they are packed."""
    if not settings.packing:
        return [(sample,) for sample in range(len(found))]
    check_packing(config, implementation(spread), device())
    return pack([len(example) for example in found], settings.max_length)


class KeepEpochs(TrainerCallback):
    """Exports the model after chosen epochs. A step's checkpoint is written later than its export, so a
    resumed run never lacks one."""

    def __init__(
        self, trainer: Any, job: Job[SftStage], epochs: Sequence[int], source: Source, chat: Chat
    ) -> None:
        self.trainer, self.job, self.epochs, self.source, self.chat = trainer, job, epochs, source, chat

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        epoch, left = divmod(state.global_step * self.trainer.epochs, state.max_steps)
        if left == 0 and epoch in self.epochs:
            export(self.trainer, self.source, self.job.out / EPOCHS / str(epoch) / "model", self.chat)


def starting_point(job: Job[SftStage]) -> Source:
    """The model to train: the student, or what `train.start` names instead."""
    start = job.config.train.start
    return job.pinned(start.source, start.revision) if start else job.model(job.config.model)


def disk_needed(config: Any, settings: Training) -> int:
    """Bytes for two checkpoints at a time (weights and two moments in float32), and for the models kept."""
    with torch.device("meta"):
        weights = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    trained = weights if settings.method == "full" else weights // 50
    return 2 * 12 * trained + 4 * weights * (1 + len(settings.evaluate_epochs))
