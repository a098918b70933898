"""SFT sees exactly the tokens that were synthesised, with the right loss, or does not start."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import training_stage as stage

from tessy.errors import UserError
from tessy.records import Span, Trajectory

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words() -> Any:
    return stage.tokenizer()


@pytest.fixture(scope="module")
def renderer(words: Any) -> Any:
    from tessy.chat import Renderer

    return Renderer(words, "qwen3")


@pytest.fixture
def good(renderer: Any) -> Trajectory:
    return stage.trajectory(3, renderer, random.Random(5))


def micro(*rows: list[int], length: int = 0) -> list[dict[str, Any]]:
    return [{"samples": list(rows), "length": length, "targets": 1}]


def limits(**changes: int) -> Any:
    from train.examples import Limits

    return Limits(**{"max_length": 160, "context": 256, "vocabulary": 400} | changes)


def test_the_prompt_carries_no_loss_and_everything_after_it_does(good: Trajectory, renderer: Any) -> None:
    from train.batches import IGNORED, Collator
    from train.examples import example

    e = example(good, renderer, limits())
    assert e.targets == good.tokens
    batch = Collator([e], pad=0, flat=False)(micro([0], length=len(e)))
    ids = good.student_token_ids
    assert batch["input_ids"].tolist() == [ids]
    assert batch["labels"].tolist() == [[IGNORED] * good.prompt_tokens + ids[good.prompt_tokens :]]


def test_each_token_has_the_kind_of_its_span(good: Trajectory, renderer: Any) -> None:
    from train.examples import KINDS, PROMPT, example

    e = example(good, renderer, limits())
    by_kind: dict[int, list[int]] = {}
    for token, kind in zip(e.ids.tolist(), e.kinds.tolist(), strict=True):
        by_kind.setdefault(kind, []).append(token)
    assert by_kind[PROMPT] == good.student_token_ids[: good.prompt_tokens]
    for kind in ("style", "capability", "answer"):
        text = "".join(span.text for span in good.spans if span.kind == kind)
        assert renderer.decode(by_kind.get(KINDS.index(kind), [])) == text
    assert renderer.decode(by_kind[KINDS.index("markup")]) == "<think>\n\n</think>\n\n<|im_end|>"


def test_a_system_prompt_goes_before_the_prompt_and_changes_nothing_else(
    good: Trajectory, renderer: Any
) -> None:
    from train.examples import examples

    (plain,) = examples([good], renderer, limits())
    (isolated,) = examples([good], renderer, limits(), "next one")
    assert isolated.ids[: isolated.prompt].tolist() == renderer.prompt_ids(good.prompt, "next one")
    assert isolated.ids[isolated.prompt :].tolist() == plain.ids[plain.prompt :].tolist()
    assert isolated.targets == plain.targets


@pytest.mark.parametrize(
    ("changes", "within", "said"),
    [
        ({}, {"vocabulary": 300}, "is outside the vocabulary of 300"),
        ({}, {"max_length": 20}, "train.max_length is 20"),
        ({"prompt_tokens": 10_000}, {}, "nothing would be learned"),
        ({"prompt_tokens": 0}, {}, "nothing would be learned"),
        ({"spans": [Span("student", "answer", "other words", 1, "end_of_answer")]}, {}, "another tokenizer"),
    ],
)
def test_a_set_that_would_train_on_something_else_is_refused(
    good: Trajectory, renderer: Any, changes: dict, within: dict, said: str
) -> None:
    from train.examples import examples

    with pytest.raises(UserError, match="sample p3#0") as error:
        examples([replace(good, **changes)], renderer, limits(**within))
    assert said in str(error.value)


def test_a_set_of_another_tokenizer_is_refused_by_fingerprint(good: Trajectory, renderer: Any) -> None:
    from train.examples import examples

    foreign = replace(good, tokenizer="0123456789ab")
    with pytest.raises(UserError, match="another tokenizer, 0123456789ab") as error:
        examples([foreign], renderer, limits())
    assert f"that of the model to train is {renderer.fingerprint}; synthesise with" in str(error.value)
    with pytest.raises(UserError, match="of no known fingerprint"):
        examples([replace(good, tokenizer="")], renderer, limits())


def test_an_answer_without_its_end_is_refused(good: Trajectory, renderer: Any) -> None:
    from train.examples import examples

    endless = replace(good, student_token_ids=good.student_token_ids[:-1])
    with pytest.raises(UserError, match="would not learn to stop"):
        examples([endless], renderer, limits())


def test_empty_thinking_is_refused(good: Trajectory, renderer: Any) -> None:
    from train.examples import examples

    spans = [replace(s, kind="markup") if s.kind in ("style", "capability") else s for s in good.spans]
    with pytest.raises(UserError, match="its thinking is empty"):
        examples([replace(good, spans=spans)], renderer, limits())


def test_an_empty_set_and_a_context_longer_than_the_models_are_refused(
    good: Trajectory, renderer: Any
) -> None:
    from train.examples import examples

    with pytest.raises(UserError, match="none can be trained on"):
        examples([replace(good, stop_reason="length")], renderer, limits())
    with pytest.raises(UserError, match="over the model's context of 100 tokens"):
        examples([good], renderer, limits(context=100))


# The loss ---------------------------------------------------------------------------------------------


def setup(words: Any, count: int = 8) -> tuple[Any, Any]:
    import torch
    from transformers import Qwen3ForCausalLM

    from tessy.chat import Renderer
    from train.examples import examples

    torch.manual_seed(0)
    found = examples(stage.trajectories(count, words), Renderer(words, "qwen3"), limits())
    return Qwen3ForCausalLM(stage.tiny_config()).eval(), found


def nll_per_token(model: Any, batch: dict[str, Any]) -> Any:
    """Plain cross-entropy of every target, in the order of the batch."""
    import torch

    inputs = {k: batch[k] for k in ("input_ids", "attention_mask", "position_ids") if k in batch}
    with torch.no_grad():
        logits = model(**inputs, use_cache=False).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    return torch.nn.functional.cross_entropy(logits[labels != -100], labels[labels != -100], reduction="none")


def test_packed_and_unpacked_rows_have_the_same_loss_on_every_token(words: Any) -> None:
    import torch

    from train.batches import Collator

    model, found = setup(words)
    padded = nll_per_token(model, Collator(found, 0, flat=False)(micro(*([i] for i in range(8)))))
    packed = nll_per_token(
        model, Collator(found, 0, flat=True)(micro(list(range(8)), length=sum(map(len, found))))
    )
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=1e-5)


def test_that_test_sees_attention_that_leaks(words: Any) -> None:
    from train.batches import Collator

    model, found = setup(words)
    padded = nll_per_token(model, Collator(found, 0, flat=False)(micro(*([i] for i in range(8)))))
    batch = Collator(found, 0, flat=True)(micro(list(range(8)), length=sum(map(len, found))))
    del batch["position_ids"]
    assert (nll_per_token(model, batch) - padded).abs().max() > 1e-3


def test_the_terms_by_kind_add_up_to_the_loss(words: Any) -> None:
    import torch

    from train.batches import Collator
    from train.examples import KINDS
    from train.losses import by_kind, metrics

    model, found = setup(words)
    batch = Collator(found, 0, flat=False)(micro(*([i] for i in range(8))))
    nll = torch.zeros(batch["labels"][:, 1:].shape)
    mask = batch["labels"][:, 1:] != -100
    nll[mask] = nll_per_token(model, batch)
    targets = int(mask.sum())
    assert targets == sum(e.targets for e in found)
    sums = by_kind(nll, nll, torch.zeros_like(mask), batch["kinds"][:, :-1], targets)
    logs = metrics(sums)
    total = sum(value for key, value in logs.items() if key.startswith("loss_"))
    assert total == pytest.approx(float(nll.sum()) / targets, rel=1e-6)
    assert sum(logs[f"tokens_{kind}"] for kind in KINDS if f"tokens_{kind}" in logs) == targets


def test_a_batch_that_was_tampered_with_is_noticed(words: Any) -> None:
    from train.batches import Collator, check_batch

    _, found = setup(words)
    (first,) = micro([0, 1], [2], length=sum(map(len, found[:3])))
    for flat in (False, True):
        collator = Collator(found, 0, flat)
        check_batch(collator, first, found)
        with pytest.raises(RuntimeError, match="would not train on the responses"):
            check_batch(
                lambda micro, c=collator: {k: v[:, :-1] for k, v in c(micro).items() if k != "targets"},
                first,
                found,
            )


def test_packing_is_refused_where_attention_leaks() -> None:
    import torch

    from train.attention import TOLERANCE, check_packing, cross_talk, shrunken

    cpu = torch.device("cpu")
    check_packing(stage.tiny_config(), "sdpa", cpu)
    check_packing(stage.tiny_config(), "eager", cpu)
    forward = shrunken(stage.tiny_config(), "sdpa", cpu)
    leaky = cross_talk(lambda ids, _: forward(ids, torch.arange(ids.shape[1])[None]), cpu)
    assert leaky > 100 * TOLERANCE


def test_merged_adapters_are_what_peft_merges() -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3ForCausalLM

    from train.checkpoints import merged

    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(Qwen3ForCausalLM(stage.tiny_config()), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    ours = merged(model.state_dict(), 2.0)
    theirs = model.merge_and_unload().state_dict()
    assert ours.keys() == theirs.keys()
    for key, weight in theirs.items():
        torch.testing.assert_close(ours[key], weight)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_a_model_is_exported_in_its_own_number_type(key: str, tmp_path: Any) -> None:
    from types import SimpleNamespace

    import torch
    from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

    from tessy.artifacts import read_json, write_json
    from train.checkpoints import export

    model = Qwen3ForCausalLM(stage.tiny_config())
    model.save_pretrained(tmp_path / "source")
    config = read_json(tmp_path / "source" / "config.json")
    config.pop("dtype", None)
    write_json(tmp_path / "source" / "config.json", config | {key: "bfloat16"})
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(get_state_dict=lambda wrapped: wrapped.state_dict()),
        model=model,
        model_wrapped=model,
        is_world_process_zero=lambda: True,
    )
    export(trainer, (str(tmp_path / "source"), None), tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert loaded.dtype == torch.bfloat16


def test_a_disk_too_small_is_refused_before_training(tmp_path: Any) -> None:
    from train.checkpoints import require_disk

    require_disk(tmp_path, 1)
    with pytest.raises(UserError, match="free some or choose another disk"):
        require_disk(tmp_path, 1 << 60)
