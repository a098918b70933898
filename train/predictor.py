"""Trains a boundary predictor: token classification with labels shifted by one (paper, section 3).

The base is the model whose thinking it watches; a small causal base of another make works as well. A
tenth of the problems, not of the segments, is held out: segments of one problem resemble each other.

Not covered: a choice of threshold, and windows cut from anywhere in a trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

from tessy.artifacts import read_rows, write_json
from tessy.boundary.annotate import shifted, token_labels
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.stages.annotate import SEGMENTS
from train.checkpoints import Watch, export, train


def run(job: Job) -> None:
    settings, seed = job.config["predictors"], job.config["seed"]
    source, revision = job.model()
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    rows = read_rows(job.inputs["annotations"] / SEGMENTS)
    held_out = held_out_problems([row["problem_id"] for row in rows])
    if not held_out:
        raise UserError(
            "annotations: all segments come from one problem, so none can be held out; raise "
            "predictors.problems"
        )
    parts = {
        name: Dataset.from_list(
            [
                encode(tokenizer, row, settings["window_tokens"])
                for row in rows
                if (row["problem_id"] in held_out) == held
            ]
        )
        for name, held in (("train", False), ("held_out", True))
    }
    torch.manual_seed(seed)
    model = AutoModelForTokenClassification.from_pretrained(
        source,
        revision=revision,
        num_labels=2,
        dtype=torch.float32,
        id2label={0: "capability", 1: "style"},
        label2id={"capability": 0, "style": 1},
    )
    trainer = Trainer(
        model=model,
        args=arguments(job, settings, seed, len(parts["train"])),
        train_dataset=parts["train"],
        eval_dataset=parts["held_out"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=token_scores,
        callbacks=[Watch(job)],
    )
    train(trainer, job)
    metrics = {
        key.removeprefix("eval_"): value
        for key, value in trainer.evaluate().items()
        if key.startswith("eval_style")
    }
    write_json(
        job.out / "metrics.json", {**metrics, "segments": len(rows), "held_out_problems": len(held_out)}
    )
    job.tracker.log(metrics)
    export(trainer, (source, revision), job.out / "model")


def held_out_problems(problem_ids: list[str]) -> frozenset[str]:
    """Every tenth problem, at least one, but never all."""
    unique = sorted(set(problem_ids))
    return frozenset(unique[::10]) if len(unique) > 1 else frozenset()


def encode(tokenizer: Any, row: dict[str, Any], window_tokens: int) -> dict[str, list[int]]:
    """Ids of a segment and the label of each one's successor, cut to the window a predictor sees in use."""
    encoded = tokenizer(
        row["text"], add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
    )
    style = [(span["start"], span["end"]) for span in row["style"]]
    labels = shifted(token_labels(encoded["offset_mapping"], style))
    return {"input_ids": encoded["input_ids"][:window_tokens], "labels": labels[:window_tokens]}


def arguments(job: Job, settings: dict[str, Any], seed: int, samples: int) -> TrainingArguments:
    steps = -(-samples // settings["batch_size"]) * settings["epochs"]
    return TrainingArguments(
        output_dir=str(job.work / "checkpoints"),
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch_size"],
        per_device_eval_batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="linear",
        seed=seed,
        data_seed=seed,
        logging_steps=max(1, steps // 50),
        save_steps=max(20, steps // 4),
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def token_scores(prediction: Any) -> dict[str, float]:
    """Precision, recall and F1 of the label "style" over all labelled tokens."""
    labels, found = prediction.label_ids, np.argmax(prediction.predictions, -1)
    valid = labels != -100
    hits = int(((found == 1) & (labels == 1) & valid).sum())
    precision = hits / max(1, int(((found == 1) & valid).sum()))
    recall = hits / max(1, int(((labels == 1) & valid).sum()))
    return {
        "style_precision": precision,
        "style_recall": recall,
        "style_f1": 2 * hits / max(1, hits and (hits / precision + hits / recall)),
    }
