"""A miniature annotator for tests: it marks the opening of a segment, if there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tessy.boundary.segments import Segment

PROMPT = "Mark the style.\n{segment}"
OFF = "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
OPENINGS = {"Okay, so": '["Okay, so"]', "Hmm, wait.": '["Hmm, wait."]', "": "[]"}


def segments() -> list[Segment]:
    """A few dozen of each opening, all different."""
    return [
        Segment(f"{number}:{i}", "s", "p", 0, f"{opening} x {a} {b} y".strip())
        for number, opening in enumerate(OPENINGS)
        for i, (a, b) in enumerate((a, b) for a in "+-*/%" for b in "0123456789")
    ]


def answer_to(segment: str) -> str:
    return next(answer for opening, answer in OPENINGS.items() if segment.startswith(opening))


def train_annotator(folder: Path, thinkings: Sequence[str | None]) -> None:
    """A model that has learned what the right answers look like, after each of `thinkings`."""
    texts = [segment.text for segment in segments()]
    train_to_answer(folder, {PROMPT.replace("{segment}", text): answer_to(text) for text in texts}, thinkings)


def train_to_answer(folder: Path, answers: Mapping[str, str], thinkings: Sequence[str | None]) -> None:
    """A two-layer model in the student's format that has learned `answers` by prompt, after each of
    `thinkings`; None stands for none. Its chat template knows `enable_thinking`, as Qwen3's does."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from tessy.chat import Renderer
    from tessy.miniature.tokens import train_tokenizer
    from tessy.miniature.traces import Trace

    traces = [Trace("", prompt, "", answer) for prompt, answer in answers.items()]
    tokenizer = train_tokenizer("student", traces, 300)
    tokenizer.chat_template = f"{tokenizer.chat_template}{OFF}"
    renderer = Renderer(tokenizer, "qwen3")

    def document(prompt: str, answer: str, thinking: str | None) -> list[int]:
        thought = renderer.no_thinking_ids()
        if thinking is not None:
            thought = [*renderer.open_thinking_ids(), *renderer.encode(thinking)]
            thought += renderer.close_thinking_ids(thinking)
        ids = [*renderer.prompt_ids(prompt), *thought, *renderer.encode(answer)]
        return [*ids, *renderer.close_answer_ids()]

    torch.manual_seed(0)
    torch.set_num_threads(1)
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=128,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    stride = max(1, len(traces) // 10)
    for step in range(120 * len(thinkings)):
        rows, thinking = traces[step % stride :: stride], thinkings[step % len(thinkings)]
        batch = tokenizer.pad(
            {"input_ids": [document(row.prompt, row.answer, thinking) for row in rows]},
            return_tensors="pt",
            padding_side="right",
        )
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(input_ids=batch["input_ids"], labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
