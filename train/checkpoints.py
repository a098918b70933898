"""What every training run here shares: resuming, progress, and a clean export.

A checkpoint counts only once its marker file is there, written after everything else, so a kill in
the middle of saving costs the steps since the one before and never a broken resume.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tessy.artifacts import write_json
from tessy.pipeline.job import Job

COMPLETE = "complete"


class Watch(TrainerCallback):
    """Reports progress and metrics of a Trainer to its job, and marks complete checkpoints."""

    def __init__(self, job: Job) -> None:
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
        if logs:
            self.job.tracker.log(
                {f"train/{key}": value for key, value in logs.items()}, step=state.global_step
            )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        (Path(args.output_dir or ".") / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def latest_checkpoint(folder: Path) -> str | None:
    """The last complete checkpoint in `folder`; half-written ones are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in found:
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    complete = [path for path in found if path.exists()]
    return str(complete[-1]) if complete else None


def train(trainer: Any, job: Job) -> None:
    """Train to the end from the last complete checkpoint, and write the loss curve to the artifact."""
    trainer.train(resume_from_checkpoint=latest_checkpoint(Path(trainer.args.output_dir)))
    curve = [{"step": row["step"], "loss": row["loss"]} for row in trainer.state.log_history if "loss" in row]
    write_json(job.out / "curve.json", curve)


def export(trainer: Any, tokenizer_source: tuple[str, str | None], folder: Path) -> None:
    """Save the model with the tokenizer files of `tokenizer_source` as they were, not re-serialised."""
    trainer.model.save_pretrained(folder)
    source, revision = tokenizer_source
    if Path(source).is_dir():
        for file in Path(source).iterdir():
            if file.name.startswith(
                ("tokenizer", "special_tokens", "vocab", "merges", "chat_template", "generation_config")
            ):
                shutil.copy2(file, folder / file.name)
        return
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(source, revision=revision).save_pretrained(folder)
