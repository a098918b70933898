"""Tiny models: their chat formats are what their templates render, and pre-training survives a kill."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from worlds import world_config

from tessy.config.models import Pretraining
from tessy.miniature.dialects import STUDENT
from tessy.miniature.traces import gold_traces, pretraining_traces
from tessy.miniature.world import World
from tessy.records import ROLES, Role

pytestmark = pytest.mark.slow

SMALL = world_config(train_problems=20, eval_problems=6, ood_problems=3)


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(SMALL, 1)


@pytest.mark.parametrize("role", ROLES)
def test_the_chat_template_renders_what_the_model_was_trained_on(role: Role, world: World) -> None:
    from tessy.miniature.tokens import prompt_text, response_text, train_tokenizer

    tokenizer = train_tokenizer(role, pretraining_traces(role, world, 500, 0), 640)
    trace = gold_traces(world, world.train[:1], STUDENT, 0)[0]
    user = {"role": "user", "content": trace.prompt}
    prompt = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert prompt == prompt_text(role, trace.prompt)
    key = "reasoning_content" if role == "student" else "thinking"
    reply = {"role": "assistant", "content": trace.answer, key: trace.thinking}
    whole = tokenizer.apply_chat_template([user, reply], tokenize=False)
    assert whole == prompt + response_text(role, trace)


@pytest.mark.parametrize("role", ROLES)
def test_tokens_spell_the_text_and_markers_are_single(role: Role, world: World) -> None:
    from tessy.miniature.tokens import END_OF_ANSWER, MARKERS, response_text, train_tokenizer

    tokenizer = train_tokenizer(role, pretraining_traces(role, world, 500, 0), 640)
    text = response_text(role, gold_traces(world, world.train[:1], STUDENT, 0)[0]) + " naïve 中"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert all(len(tokenizer(marker)["input_ids"]) == 1 for marker in MARKERS[role])
    assert tokenizer.eos_token == END_OF_ANSWER[role]


def test_think_tags_of_the_student_survive_decoding(world: World) -> None:
    from tessy.miniature.tokens import train_tokenizer

    tokenizer = train_tokenizer("student", pretraining_traces("student", world, 100, 0), 640)
    ids = tokenizer("<think>\nOkay.\n</think>\n\nx<|im_end|>")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>\nOkay.\n</think>\n\nx"


def test_killed_pretraining_ends_with_the_same_weights(world: World, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _run(world, whole, kill_at=None)
    _run(world, killed, kill_at=73)
    assert (killed / "state.pt").exists()
    _run(world, killed, kill_at=None)
    assert sorted(p.name for p in whole.iterdir()) == sorted(p.name for p in killed.iterdir())
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    assert all((one[name] == two[name]).all() for name in one)


def test_nothing_is_computed_in_half_precision(world: World, tmp_path: Path) -> None:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from tessy.miniature.pretrain import pretrain

    kinds = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            kinds.add(getattr(out, "dtype", None))
            return out

    with Watch():
        pretrain("student", world, _tiny(documents=4), tmp_path, threads=1)
    assert torch.float32 in kinds
    assert not kinds & {torch.bfloat16, torch.float16}


def test_an_unfinished_model_of_other_settings_is_not_continued(world: World, tmp_path: Path) -> None:
    from tessy.miniature.pretrain import pretrain

    _run(world, tmp_path, kill_at=60)
    with pytest.raises(ValueError, match="unfinished model of other settings"):
        pretrain("student", world, _tiny(learning_rate=1e-4), tmp_path, threads=1)


def _tiny(documents: int = 200, learning_rate: float = 1e-3) -> Pretraining:
    return Pretraining(
        vocabulary=512,
        width=32,
        layers=1,
        heads=1,
        mlp=32,
        documents=documents,
        batch=2,
        learning_rate=learning_rate,
    )


def _run(world: World, out: Path, kill_at: int | None) -> None:
    """Pre-train in a process of its own, killed by SIGKILL after step `kill_at`."""
    process = multiprocessing.get_context("spawn").Process(target=_pretrain, args=(world, out, kill_at))
    process.start()
    process.join()
    assert process.exitcode == (0 if kill_at is None else -9)


def _pretrain(world: World, out: Path, kill_at: int | None) -> None:
    import os
    import signal

    from tessy.miniature.pretrain import pretrain

    def on_progress(done: int, total: int, loss: float) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    pretrain("student", world, _tiny(), out, 1, on_progress)
