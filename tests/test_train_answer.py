"""A finished checkpoint answers in transformers and in vLLM, and a broken one is no result."""

from __future__ import annotations

from pathlib import Path

import pytest
import training_stage as stage


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    # The smallest heads that vLLM's kernel for CPUs takes.
    Qwen3ForCausalLM(stage.tiny_config(head_dim=32)).save_pretrained(folder)
    stage.tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_checkpoint_answers(checkpoint: Path) -> None:
    from train.answer import require_answer

    assert require_answer(checkpoint, [5, 6, 7], "transformers")


@pytest.mark.slow
def test_a_checkpoint_with_broken_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from transformers import Qwen3ForCausalLM

    from train.answer import require_answer

    model = Qwen3ForCausalLM.from_pretrained(checkpoint)
    model.model.norm.weight.data.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="not finite"):
        require_answer(tmp_path, [5, 6, 7], "transformers")


@pytest.mark.vllm
def test_vllm_gives_the_same_answer(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.answer import require_answer

    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    expected = require_answer(checkpoint, [5, 6, 7], "transformers")
    assert require_answer(checkpoint, [5, 6, 7], "vllm") == expected
