"""Trains a boundary predictor: token classification with labels shifted by one (paper, section 3).

The base is the model whose thinking it classifies, or a small causal one. Windows are those of
inference: left context comes from the trace itself, and only annotated tokens carry loss.
A tenth of the problems, not of the segments, is held out: segments of one problem resemble each other.
The epoch with the best boundary F1 on held-out problems is kept, and the threshold is chosen on them, too.

Not covered: a held-out score is only as good as the annotator, which labels both parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    EarlyStoppingCallback,
    Trainer,
    TrainingArguments,
)

from tessy.artifacts import read_rows, write_json
from tessy.boundary.labels import IGNORED, Annotation, trace_labels
from tessy.boundary.operating_point import OperatingPoint, write_operating_point
from tessy.boundary.segments import SEGMENTS, THINKINGS
from tessy.boundary.token_scores import (
    Tokens,
    boundary_f1,
    calibration_error,
    choose_threshold,
    class_scores,
    log_loss,
)
from tessy.boundary.windows import Window, training_windows
from tessy.chat.vocabulary import continue_text, load_tokenizer
from tessy.errors import UserError
from tessy.runtime.job import Job, Source
from tessy.stages.predictor import PredictorStage
from train.checkpoints import Watch, export, on_one_device, train

TIE_BREAK = 1e-3
"""Weight of the held-out loss in choosing an epoch: it decides among those that find the same boundaries."""


@dataclass(frozen=True, slots=True)
class TraceWindow:
    """A window and the trace it was drawn from, by number, with its problem."""

    trace: int
    problem_id: str
    window: Window


def run(job: Job[PredictorStage]) -> None:
    settings, origin = job.config.predictors, _base(job)
    source, revision = origin
    tokenizer = load_tokenizer(source, revision)
    continue_text(tokenizer)
    check_base(source, revision, tokenizer, settings.window_tokens)
    # Some tokenizers have none, and the replacement is masked.
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    thinkings = {row["sample_id"]: row for row in read_rows(job.inputs["annotations"] / THINKINGS)}
    segments = read_rows(job.inputs["annotations"] / SEGMENTS)
    held_out = held_out_problems(segments)
    parts: dict[bool, list[TraceWindow]] = {False: [], True: []}
    for one in draw_windows(tokenizer, thinkings, segments, settings.window_tokens):
        parts[one.problem_id in held_out].append(one)
    require_both_classes(parts[False])
    torch.manual_seed(job.config.seed)
    model = AutoModelForTokenClassification.from_pretrained(
        source,
        revision=revision,
        num_labels=2,
        dtype=torch.float32,
        id2label={0: "capability", 1: "style"},
        label2id={"capability": 0, "style": 1},
    )
    held = dataset(parts[True])
    trainer = Trainer(
        model=model,
        args=on_one_device(arguments(job, len(parts[False]))),
        train_dataset=dataset(parts[False]),
        eval_dataset=held,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_loss_func=weighted_loss(class_weights(parts[False], settings.class_weights)),
        compute_metrics=lambda found: epoch_scores(held_out_tokens(parts[True], found)),
        callbacks=[Watch(job), EarlyStoppingCallback(settings.patience)],
    )
    train(trainer, job)
    tokens = held_out_tokens(parts[True], trainer.predict(held))
    threshold = choose_threshold(tokens, settings.policy)
    metrics = scores(tokens, threshold)
    counts = {
        "segments": len(segments),
        "held_out_problems": len(held_out),
        "held_out_tokens": len(tokens.style),
    }
    write_json(job.out / "metrics.json", {**metrics, **counts, "epochs": trainer.state.epoch})
    job.tracker.log(metrics)
    export(trainer, origin, job.out / "model")
    write_operating_point(job.out / "model", OperatingPoint(threshold, settings.window_tokens))


def _base(job: Job[PredictorStage]) -> Source:
    """The predictor's base: the artifact of the model it classifies, or the recipe's base."""
    folder, base = job.inputs.get("model"), job.config.base
    return Source(str(folder / "model"), None) if folder else job.pinned(base.source, base.revision)


# Data ---------------------------------------------------------------------------------------------


def check_base(source: str, revision: str | None, tokenizer: Any, window_tokens: int) -> None:
    """Refuse, before weights load, a base with a context shorter than a window, or without token offsets."""
    if not tokenizer.is_fast:
        raise UserError(f"model {source}: its tokenizer gives no offsets; convert it to a fast tokenizer")
    longest = AutoConfig.from_pretrained(source, revision=revision).max_position_embeddings
    if window_tokens > longest:
        raise UserError(
            f"predictors.window_tokens {window_tokens}: model {source} holds {longest} tokens; lower it"
        )


def held_out_problems(segments: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Every tenth problem of the annotated segments, at least one, but never all. Of near-duplicates, where
    segments name their `cluster`, the first decides for all."""
    first: dict[Any, str] = {}
    for segment in segments:
        problem, cluster = str(segment["problem_id"]), segment.get("cluster", segment["problem_id"])
        first[cluster] = min(first.get(cluster, problem), problem)
    problems = sorted(first.values())
    if len(problems) < 2:
        raise UserError(
            f"annotations: {len(segments)} segments from {len(problems)} problems, so none can be held out; "
            "raise predictors.problems"
        )
    chosen = set(problems[::10])
    return frozenset(
        str(segment["problem_id"])
        for segment in segments
        if first[segment.get("cluster", segment["problem_id"])] in chosen
    )


def draw_windows(
    tokenizer: Any,
    thinkings: Mapping[str, Mapping[str, Any]],
    segments: Sequence[Mapping[str, Any]],
    window_tokens: int,
) -> Iterator[TraceWindow]:
    """Every window with an annotated token, in the order of `thinkings` (sample id -> row)."""
    by_trace: dict[str, list[Annotation]] = defaultdict(list)
    for row in segments:
        style = [(span["start"], span["end"]) for span in row["style"]]
        by_trace[row["sample_id"]].append(Annotation(row["start"], row["start"] + len(row["text"]), style))
    for number, (sample_id, thinking) in enumerate(thinkings.items()):
        if sample_id in by_trace:
            encoded = tokenizer(
                thinking["text"],
                add_special_tokens=False,
                return_offsets_mapping=True,
                split_special_tokens=True,
            )
            labels = trace_labels(encoded["offset_mapping"], by_trace[sample_id])
            for window in training_windows(encoded["input_ids"], labels, window_tokens):
                yield TraceWindow(number, thinking["problem_id"], window)


def require_both_classes(windows: Sequence[TraceWindow]) -> None:
    """Raise `UserError` where all annotated tokens are of one class: a predictor trained on them would label
    every token so, and could score well on few held-out tokens."""
    found = {target for one in windows for target in one.window.targets} - {IGNORED}
    if len(found) == 1:
        raise UserError(
            f"annotations: {'nothing but' if 1 in found else 'no'} style among the tokens to train on; raise "
            "predictors.segments or use another annotator"
        )


def dataset(windows: Sequence[TraceWindow]) -> Dataset:
    if not windows:
        raise UserError(
            "annotations: no annotated token in the training or the held-out part; raise predictors.segments"
        )
    return Dataset.from_list([{"input_ids": w.window.ids, "labels": w.window.targets} for w in windows])


# Training -----------------------------------------------------------------------------------------


def arguments(job: Job[PredictorStage], windows: int) -> TrainingArguments:
    settings, seed = job.config.predictors, job.config.seed
    steps_per_epoch = -(-windows // settings.batch_size)
    most_steps = max(1, steps_per_epoch * settings.epochs // 50)
    # A point of the curve never spans a checkpoint, or a resumed run would average over fewer steps.
    logging_steps = next(n for n in range(most_steps, 0, -1) if steps_per_epoch % n == 0)
    return TrainingArguments(
        output_dir=str(job.work / "checkpoints"),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        seed=seed,
        data_seed=seed,
        logging_steps=logging_steps,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="selection",
        greater_is_better=True,
        # Otherwise a resumed run would lose its early-stopping count.
        restore_callback_states_from_checkpoint=True,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def class_weights(windows: Sequence[TraceWindow], rule: str) -> list[float]:
    """Loss weights of capability and style: equal, or inverse to the class frequency."""
    if rule == "none":
        return [1.0, 1.0]
    targets = np.concatenate([one.window.targets for one in windows])
    counts = [max(1, int((targets == label).sum())) for label in (0, 1)]
    return [sum(counts) / (2 * count) for count in counts]


def weighted_loss(weights: Sequence[float]) -> Callable[..., torch.Tensor]:
    """Cross-entropy over annotated tokens, each weighted by its class."""

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs.logits.float().view(-1, 2)
        weight = torch.tensor(weights, device=logits.device)
        return torch.nn.functional.cross_entropy(logits, labels.view(-1), weight, ignore_index=IGNORED)

    return loss


# Scores -------------------------------------------------------------------------------------------


def held_out_tokens(windows: Sequence[TraceWindow], found: Any) -> Tokens:
    """Annotated tokens of `windows`, in order, with what a Trainer's prediction says of them."""
    logits = torch.tensor(found.predictions, dtype=torch.float64)
    # Selected by the labels' positions, whichever side the collator pads.
    probability = logits.softmax(-1)[..., 1].numpy()[found.label_ids != IGNORED]
    rows = [
        (one.trace, one.window.start + i, target)
        for one in windows
        for i, target in enumerate(one.window.targets)
        if target != IGNORED
    ]
    trace, position, target = (np.array(column) for column in zip(*rows, strict=True))
    return Tokens(trace, position, target == 1, probability)


def epoch_scores(tokens: Tokens) -> dict[str, float]:
    """The scores of an epoch: `selection` is boundary F1, with the held-out loss as tie-breaker."""
    f1 = boundary_f1(tokens, 0.5, 0)
    return {"boundary_f1": f1, "selection": f1 - TIE_BREAK * min(1.0, log_loss(tokens))}


def scores(tokens: Tokens, threshold: float) -> dict[str, float]:
    """All metrics of a finished predictor at its threshold, as fractions."""
    return {
        "threshold": threshold,
        **class_scores(tokens, threshold),
        "boundary_f1": boundary_f1(tokens, threshold, 0),
        "boundary_f1_within_2": boundary_f1(tokens, threshold, 2),
        "calibration_error": calibration_error(tokens),
    }
