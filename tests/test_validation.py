"""The loss on held-out problems: what it is, that training sees none of it, and that a plan asks for it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tessy.artifacts import read_json, write_json, write_parquet
from tessy.config.load import load
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.runtime.job import JOB

VALIDATION = "validation.json"
MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"
NEAR = "problems.curation.duplicates.near=true"
HELD = ("train.validation=true", NEAR, "problems.curation.held_out.share=0.1")


def test_held_out_problems_get_responses_of_their_own() -> None:
    whole = plan(load(MINI, HELD))
    written = whole.stage("validation-tessy")
    assert written.config.held_out
    assert written.inputs["problems"] == "curation"
    assert whole.stage("train-tessy-seed0").inputs["validation"] == "validation-tessy"
    without = plan(load(MINI, HELD[1:]))
    assert "validation" not in without.stage("train-tessy-seed0").inputs
    assert without.stage("synthesize-tessy").fingerprint == whole.stage("synthesize-tessy").fingerprint


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.validation=true"], "none are held out"),
        ([*HELD, "synthesis.methods=[teacher_only, student_only, teacher_mix]"], "teacher_mix takes those"),
        (["problems.curation.held_out.share=0.1"], "near-duplicates would be on both sides"),
    ],
)
def test_what_cannot_be_measured_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(MINI, overrides)


@pytest.mark.slow
def test_the_loss_is_that_of_the_trained_model_and_training_saw_none_of_it(tmp_path: Path) -> None:
    """The stage itself, against the cross-entropy that transformers computes of each sample alone."""
    import torch
    from training_stage import make_inputs, make_job, run, tokenizer, trajectories, weights
    from transformers import Qwen3ForCausalLM

    from tessy.chat import Renderer
    from train.examples import Limits, examples

    make_inputs(tmp_path)
    words = tokenizer()
    held_out = trajectories(30, words)[21:]
    write_parquet(tmp_path / "validation-tessy-x" / "trajectories.parquet", held_out, "t", "t")
    partial = make_job(tmp_path, "with")
    spec = read_json(partial / JOB)
    spec["inputs"]["validation"] = "validation-tessy-x"
    write_json(partial / JOB, spec)
    trained, alone = run(partial), run(make_job(tmp_path, "without"))
    assert all(torch.equal(one, weights(alone)[name]) for name, one in weights(trained).items())
    assert not (alone / VALIDATION).exists()
    measured = read_json(trained / VALIDATION)
    assert list(measured) == ["1", "2"]
    model = Qwen3ForCausalLM.from_pretrained(trained / "model", dtype=torch.float32)
    expected, tokens = 0.0, 0
    for example in examples(held_out, Renderer(words, "qwen3"), Limits(256, 256, 400)):
        ids = torch.from_numpy(example.ids).long()[None]
        labels = ids.clone()
        labels[:, : example.prompt] = -100
        with torch.no_grad():
            expected += float(model(input_ids=ids, labels=labels).loss) * example.targets
        tokens += example.targets
    assert math.isclose(measured["2"]["nll"], expected / tokens, rel_tol=1e-4)
    assert sum(value for key, value in measured["2"].items() if key.startswith("tokens_")) == tokens
