"""What a boundary predictor is trained on, and the stage that trains it, on a model of noise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_stage
from jobs import job_at

from tessy.artifacts import read_json, write_json, write_parquet
from tessy.boundary.labels import IGNORED
from tessy.boundary.predictor import BoundaryPredictor
from tessy.boundary.segments import SEGMENTS
from tessy.boundary.segments import THINKINGS as THINKINGS_FILE
from tessy.config.base import Checkpoint
from tessy.config.predictors import PredictorTraining
from tessy.errors import UserError
from tessy.stages.predictor import PredictorStage
from train.predictor import (
    check_base,
    class_weights,
    dataset,
    draw_windows,
    held_out_problems,
    require_both_classes,
    run,
    weighted_loss,
)

pytestmark = pytest.mark.slow

THINKINGS = {
    "a#0": {"problem_id": "a", "text": "one two three four five six seven eight"},
    "b#0": {"problem_id": "b", "text": "nine ten"},
}


class Words:
    """A tokenizer of words, each with the space before it."""

    def __call__(self, text: str, **_: Any) -> dict[str, list[Any]]:
        found = list(re.finditer(r"\s*\S+", text))
        return {"input_ids": [len(m[0]) for m in found], "offset_mapping": [m.span() for m in found]}


def segment(sample: str, start: int, text: str, *style: tuple[int, int]) -> dict[str, Any]:
    spans = [{"start": begin, "end": end} for begin, end in style]
    return {"sample_id": sample, "problem_id": sample[0], "start": start, "text": text, "style": spans}


def test_context_comes_from_the_trace_and_loss_from_the_segment() -> None:
    rows = [segment("a#0", 18, " five six", (0, 5))]
    (one, two) = draw_windows(Words(), THINKINGS, rows, window_tokens=4)
    assert (one.window.start, one.window.targets) == (0, [IGNORED, IGNORED, IGNORED, 1])
    assert (two.window.start, two.window.targets) == (2, [IGNORED, IGNORED, 0, IGNORED])
    assert one.trace == two.trace == 0


def test_a_segment_of_one_problem_alone_cannot_be_held_out() -> None:
    rows = [segment("a#0", 0, "one two"), segment("a#0", 3, " two three")]
    with pytest.raises(UserError, match="2 segments from 1 problems"):
        held_out_problems(rows)
    with pytest.raises(UserError, match="0 segments from 0 problems"):
        held_out_problems([])


def test_a_tenth_of_the_problems_is_held_out() -> None:
    rows = [{"problem_id": f"p{i:02}"} for i in range(40) for _ in range(3)]
    assert held_out_problems(rows) == {"p00", "p10", "p20", "p30"}
    alone = [row | {"cluster": number} for number, row in enumerate(rows[::3])]
    assert held_out_problems(alone) == {"p00", "p10", "p20", "p30"}


def test_near_duplicates_are_held_out_together() -> None:
    rows = [{"problem_id": f"p{i:02}", "cluster": i // 4} for i in range(40)]
    assert held_out_problems(rows) == {"p00", "p01", "p02", "p03"}


def test_no_windows_are_an_error_of_the_annotations() -> None:
    with pytest.raises(UserError, match="no annotated token"):
        dataset([])


@pytest.mark.parametrize(("style", "said"), [([(0, 19)], "nothing but style"), ([], "no style among")])
def test_tokens_of_one_class_teach_nothing(style: list[tuple[int, int]], said: str) -> None:
    rows = [segment("a#0", 0, "one two three four", *style)]
    with pytest.raises(UserError, match=said):
        require_both_classes(list(draw_windows(Words(), THINKINGS, rows, 8)))


def test_balanced_weights_make_rare_tokens_count_as_much() -> None:
    windows = list(draw_windows(Words(), THINKINGS, [segment("a#0", 0, "one two three four", (0, 7))], 8))
    assert class_weights(windows, "none") == [1.0, 1.0]
    weights = class_weights(windows, "balanced")
    assert weights[0] * 2 == pytest.approx(weights[1] * 1)


def test_the_loss_is_that_of_annotated_tokens_by_weight() -> None:
    import torch

    class Outputs:
        logits = torch.tensor([[[0.0, 2.0], [1.0, 0.0], [5.0, 5.0]]])

    labels = torch.tensor([[1, 0, IGNORED]])
    each = -np.log([np.exp(2) / (1 + np.exp(2)), np.exp(1) / (1 + np.exp(1))])
    assert float(weighted_loss([1.0, 1.0])(Outputs, labels)) == pytest.approx(each.mean())
    assert float(weighted_loss([3.0, 1.0])(Outputs, labels)) == pytest.approx((each[0] + 3 * each[1]) / 4)


@pytest.fixture
def base(tmp_path: Path) -> str:
    from transformers import Qwen3Config

    Qwen3Config(max_position_embeddings=64).save_pretrained(tmp_path)
    return str(tmp_path)


class Tokenizer:
    def __init__(self, is_fast: bool) -> None:
        self.is_fast = is_fast


def test_a_window_longer_than_the_model_is_refused(base: str) -> None:
    check_base(base, None, Tokenizer(is_fast=True), 64)
    with pytest.raises(UserError, match=r"window_tokens 65: model .* holds 64 tokens; lower it"):
        check_base(base, None, Tokenizer(is_fast=True), 65)


def test_a_batch_is_what_the_recipe_says_however_many_devices_there_are(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    from train.checkpoints import on_one_device

    for devices in (0, 1, 8):
        arguments = TrainingArguments(str(tmp_path), per_device_train_batch_size=16, use_cpu=True)
        arguments._n_gpu = devices  # what transformers finds on a machine that has so many
        assert on_one_device(arguments).train_batch_size == 16


def test_a_tokenizer_without_offsets_is_refused(base: str) -> None:
    with pytest.raises(UserError, match="gives no offsets"):
        check_base(base, None, Tokenizer(is_fast=False), 64)


def test_a_base_whose_tokenizer_has_no_padding_is_trained(tmp_path: Path) -> None:
    """Through the whole stage, and what it leaves can be used."""
    training_stage.make_inputs(tmp_path, count=1)
    model = tmp_path / "model-student-x" / "model"
    described = read_json(model / "tokenizer_config.json")
    write_json(model / "tokenizer_config.json", {k: v for k, v in described.items() if k != "pad_token"})
    thinkings = [
        {"sample_id": f"p{n}#0", "problem_id": f"p{n}", "text": "wait so " * (n + 1) + "next one"}
        for n in range(12)
    ]
    rows = [
        {**segment(one["sample_id"], 0, one["text"], (0, 7)), "problem_id": one["problem_id"]}
        for one in thinkings
    ]
    write_parquet(tmp_path / "annotations" / THINKINGS_FILE, thinkings, "t", "")
    write_parquet(tmp_path / "annotations" / SEGMENTS, rows, "t", "")
    settings = PredictorTraining(
        window_tokens=16,
        epochs=1,
        patience=1,
        learning_rate=1e-3,
        batch_size=4,
        class_weights="balanced",
        policy="no_style_leak",
    )
    config = PredictorStage(role="student", base=Checkpoint(source="?"), predictors=settings, seed=0)
    inputs = {"annotations": "annotations", "model": model.parent.name}
    job = job_at(tmp_path, "predictor-student", config, inputs)
    run(job)
    found = BoundaryPredictor(str(job.out / "model"), "student", 16)
    assert len(found.style_probabilities("wait so next one")) > 1
