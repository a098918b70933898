"""A trained checkpoint is usable without this project: it has its chat template, and it stops by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage
import vocabularies

from tessy.artifacts import read_json, write_json
from tessy.chat import Renderer
from tessy.config.train import StopCheck
from tessy.errors import UserError
from tessy.runtime.job import Source, Stopping
from train.answer import Trials, refuse_endless, trials
from train.chat import Chat, plain_template, trained_chat, write_chat
from train.examples import Limits, examples

END, PAD = 2, 0
"""Ids of `<|im_end|>` and `<|endoftext|>` in the miniature student's vocabulary."""


@pytest.fixture(scope="module")
def words() -> Any:
    return stage.tokenizer()


@pytest.fixture
def student(words: Any, tmp_path: Path) -> Path:
    """The small files of a chat model."""
    folder = tmp_path / "student"
    words.save_pretrained(folder)
    write_json(folder / "generation_config.json", {"eos_token_id": [END, PAD], "temperature": 0.6})
    return folder


def exported(folder: Path, **config: Any) -> Path:
    """A folder with what transformers itself writes of a model that was trained from a base."""
    folder.mkdir()
    write_json(folder / "config.json", {"eos_token_id": PAD, "use_cache": False} | config)
    write_json(folder / "generation_config.json", {"eos_token_id": PAD, "max_new_tokens": 2048})
    return folder


def chat(source: Path, words: Any) -> Chat:
    found = examples(stage.trajectories(3, words), Renderer(words, "qwen3"), Limits(160, 256, 400))
    return trained_chat(Source(str(source), None), Renderer(words, "qwen3"), found)


def test_config_generation_config_and_tokenizer_name_the_end_that_was_trained(
    student: Path, words: Any, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    settings = read_json(student / "tokenizer_config.json")
    write_json(student / "tokenizer_config.json", settings | {"eos_token": "<|endoftext|>"})
    folder = exported(tmp_path / "out", text_config={"eos_token_id": PAD, "hidden_size": 8})
    write_chat(folder, chat(student, words))
    config = read_json(folder / "config.json")
    assert (config["eos_token_id"], config["use_cache"]) == (END, True)
    assert config["text_config"] == {"eos_token_id": END, "use_cache": True, "hidden_size": 8}
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [END, PAD]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", END)
    assert tokenizer.chat_template == words.chat_template


def test_the_end_is_what_the_sequences_end_with_and_not_what_the_tokenizer_says(
    student: Path, words: Any
) -> None:
    found = examples(stage.trajectories(3, words), Renderer(words, "qwen3"), Limits(160, 256, 400))
    odd = [replace(found[0], ids=found[0].ids.copy()), *found[1:]]
    odd[0].ids[-1] = PAD
    taught = trained_chat(Source(str(student), None), Renderer(words, "qwen3"), odd)
    assert (list(taught.ends), taught.end) == ([END, PAD], "<|im_end|>")


def test_a_model_without_a_chat_template_gets_one_that_writes_the_trained_prompt(
    student: Path, words: Any, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    (student / "chat_template.jinja").unlink()
    folder = exported(tmp_path / "out")
    write_chat(folder, chat(student, words))
    tokenizer, renderer = AutoTokenizer.from_pretrained(folder), Renderer(words, "qwen3")
    messages = [{"role": "user", "content": "So {{ wait }} 'then'"}]
    found = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert found == renderer.prompt_ids("So {{ wait }} 'then'")
    found = tokenizer.apply_chat_template(
        [{"role": "system", "content": "let me"}, *messages], add_generation_prompt=True, return_dict=False
    )
    assert found == renderer.prompt_ids("So {{ wait }} 'then'", "let me")


@pytest.mark.parametrize("family", ["qwen3", "gpt_oss", "deepseek_r1"])
def test_the_plain_template_writes_every_familys_prompt(family: str) -> None:
    import jinja2

    renderer = vocabularies.renderer(family)
    template = jinja2.Template(plain_template(renderer))
    user = {"role": "user", "content": "Print\n\nthe sum."}
    for system in ("", "Be brief."):
        asked = [{"role": "system", "content": system}] if system else []
        expected = renderer.decode(renderer.prompt_ids("Print\n\nthe sum.", system))
        assert template.render(messages=[*asked, user]) == expected


# The outsider's check ---------------------------------------------------------------------------------


def test_trials_are_the_first_that_fit_then_the_shortest_begun_so_far_that_they_fit(words: Any) -> None:
    made = stage.trajectories(9, words)
    lengths = sorted(t.tokens for t in made)
    check = StopCheck(prompts=6, max_new_tokens=2 * lengths[3])
    found = trials([replace(made[0], stop_reason="length"), *made], "next", check)
    fitting = [t for t in made if t.tokens <= lengths[3]]
    assert [one.messages[-1]["content"] for one in found.trials][: len(fitting)] == [
        t.prompt for t in fitting
    ]
    assert [one.messages[0] for one in found.trials] == [{"role": "system", "content": "next"}] * 6
    left = {t.prompt: t.tokens for t in made}
    for one in found.trials:
        rest = left[one.messages[-1]["content"]] - len(one.begun)
        assert rest == min(left[one.messages[-1]["content"]], lengths[3])


def test_a_checkpoint_that_does_not_stop_is_refused_only_where_the_recipe_asks() -> None:
    found = {"transformers": Stopping(6, 1, 1 / 6, 0, 6, 600, (600,) * 6)}
    refuse_endless(found, StopCheck())
    with pytest.raises(UserError, match=r"in 1 of 6 answers \(transformers, 600 tokens each\)"):
        refuse_endless(found, StopCheck(required=0.5))


def as_base(folder: Path) -> None:
    """The checkpoint with what base models come with: another end token and no chat template."""
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    for file, key, value in (
        ("tokenizer_config.json", "eos_token", "<|endoftext|>"),
        ("config.json", "eos_token_id", PAD),
        ("generation_config.json", "eos_token_id", PAD),
    ):
        write_json(folder / file, read_json(folder / file) | {key: value})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_trained_from_a_base_model_stops_by_itself(method: str, tmp_path: Path) -> None:
    import shutil

    from transformers import AutoModelForCausalLM

    from train.answer import stopping

    stage.make_inputs(tmp_path)
    student, base = tmp_path / "model-student-x" / "model", tmp_path / "base"
    # In a few steps it learns how often answers end, not where: greedily it would go on for ever.
    write_json(student / "generation_config.json", {"eos_token_id": END, "do_sample": True})
    shutil.copytree(student, base)
    as_base(base)
    train = {"start": {"source": str(base)}, "method": method, "epochs": 8}
    done = stage.run(
        stage.make_job(tmp_path, "base", train, stop_check={"prompts": 6, "max_new_tokens": 200})
    )
    (engine, found), *_ = read_json(done / "manifest.json")["used"]["stopping"].items()
    assert (engine, found["prompts"], found["as_trained"]) == ("transformers", 6, 6)
    assert found["stopped"] == 6 or method == "lora", "adapters alone hardly teach it the end in so few steps"
    assert read_json(done / "stopping.json") == {"transformers": found}

    model, told = AutoModelForCausalLM.from_pretrained(done / "model", output_loading_info=True)
    assert not any(told.values()), told
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert json.loads((done / "model" / "config.json").read_text())["use_cache"] is True

    # As it was exported before: the same weights, with what the base model says of itself.
    as_base(done / "model")
    shutil.copy(student / "chat_template.jinja", done / "model")
    made = stage.trajectories(21)
    before = stopping(done / "model", trials(made, "", StopCheck(prompts=6, max_new_tokens=200)), 0, engine)
    assert (before.stopped, set(before.tokens)) == (0, {200})
    assert isinstance(trials(made, "", StopCheck()), Trials)
