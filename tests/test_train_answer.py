"""A finished checkpoint answers in transformers and in vLLM, and a broken one is no result."""

from __future__ import annotations

from pathlib import Path

import pytest
import training_stage as stage

from tessy.config.train import StopCheck
from train.answer import Trials, stopping, trials

CHECK = StopCheck(prompts=3, max_new_tokens=60)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    # The smallest heads that vLLM's kernel for CPUs takes.
    Qwen3ForCausalLM(stage.tiny_config(head_dim=32)).save_pretrained(folder)
    stage.tokenizer().save_pretrained(folder)
    # Nearly every token of the vocabulary ends an answer: even a model that knows nothing stops.
    (folder / "generation_config.json").write_text(f'{{"eos_token_id": {list(range(1, 300))}}}')
    return folder


def asked() -> Trials:
    return trials(stage.trajectories(3), "", CHECK)


@pytest.mark.slow
def test_a_checkpoint_answers_and_its_ends_are_counted(checkpoint: Path) -> None:
    found = stopping(checkpoint, asked(), 0, "transformers")
    assert (found.prompts, found.stopped, found.as_trained) == (3, 3, 3)
    assert stopping(checkpoint, asked(), 0, "transformers") == found


@pytest.mark.slow
def test_a_checkpoint_with_broken_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    from transformers import Qwen3ForCausalLM

    shutil.copytree(checkpoint, tmp_path, dirs_exist_ok=True)
    model = Qwen3ForCausalLM.from_pretrained(checkpoint)
    model.model.norm.weight.data.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="not finite"):
        stopping(tmp_path, asked(), 0, "transformers")


@pytest.mark.vllm
def test_vllm_stops_where_transformers_does(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    expected = stopping(checkpoint, asked(), 0, "transformers")
    found = stopping(checkpoint, asked(), 0, "vllm")
    assert (found.prompts, found.stopped) == (expected.prompts, expected.stopped)
