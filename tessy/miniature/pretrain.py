"""Trains a tiny model from scratch: its tokenizer, its corpus, its training, its checkpoint.

Both roles are `Qwen3ForCausalLM`s that any engine can serve. Training is a plain loop, because with half a
million parameters a framework's overhead would dominate. It can be killed at any moment and resumes to the
same weights (same machine, same number of threads). All of it is computed in float32: many CPUs have no
bfloat16 instructions, and the weights should not depend on that.

Not covered: fine-tuning on synthesised data (`train.sft`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tessy.config.base import MINIATURE_CONTEXT
from tessy.config.models import Pretraining
from tessy.miniature.muon import Muon
from tessy.miniature.tokens import END_OF_ANSWER, prompt_text, response_text, train_tokenizer
from tessy.miniature.traces import pretraining_traces
from tessy.miniature.world import World
from tessy.records import Role, other

OnProgress = Callable[[int, int, float], None]
"""Called after each step with: steps done, steps in all, the loss."""

_IGNORED = -100
_STEPS_BETWEEN_SAVES = 50


@dataclass(frozen=True, slots=True)
class _Document:
    ids: list[int]
    prompt: int


def pretrain(
    role: Role,
    world: World,
    config: Pretraining,
    out_dir: Path,
    threads: int,
    on_progress: OnProgress = lambda done, total, loss: None,
    *,
    seed: int = 0,
) -> None:
    """Write a checkpoint of `role` (model, tokenizer, generation config) to `out_dir`.

    An `out_dir` that an interrupted call left behind is continued. Raises `ValueError` if it belongs to
    a call with other arguments.
    """
    torch.set_num_threads(threads)
    tokenizer, documents = _corpus(role, world, config, seed)
    batches = _batches(documents, config.batch, seed)
    model = _new_model(config, tokenizer, seed)
    out_dir.mkdir(parents=True, exist_ok=True)
    identity = repr((role, world.config, world.seed, config, seed))
    _train(model, batches, config, out_dir / "state.pt", identity, on_progress)
    _save(model, tokenizer, role, out_dir)


def _corpus(
    role: Role, world: World, config: Pretraining, seed: int
) -> tuple[PreTrainedTokenizerFast, list[_Document]]:
    traces = pretraining_traces(role, world, config.documents, seed)
    # The tokenizer is trained on both authors' texts, so that `exposure` does not change the vocabulary.
    others = pretraining_traces(other(role), world, 1000, seed)
    tokenizer = train_tokenizer(role, traces[:3000] + others, config.vocabulary)
    prompts = tokenizer([prompt_text(role, t.prompt) for t in traces])["input_ids"]
    responses = tokenizer([response_text(role, t) for t in traces])["input_ids"]
    return tokenizer, [_Document(p + r, len(p)) for p, r in zip(prompts, responses, strict=True)]


def _batches(documents: list[_Document], size: int, seed: int) -> list[list[_Document]]:
    """Group documents of like length, so that little of a batch is padding, and shuffle the groups."""
    chunk = 32 * size
    ordered = [
        document
        for start in range(0, len(documents), chunk)
        for document in sorted(documents[start : start + chunk], key=lambda d: len(d.ids))
    ]
    batches = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    random.Random(seed).shuffle(batches)
    return batches


def _new_model(config: Pretraining, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    shape = Qwen3Config(
        vocab_size=config.vocabulary,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        intermediate_size=config.mlp,
        head_dim=32,
        max_position_embeddings=MINIATURE_CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(shape)
    model.set_attn_implementation("eager")  # twice as fast as the fused kernel at these sizes on a CPU
    return model


def _train(
    model: Qwen3ForCausalLM,
    batches: list[list[_Document]],
    config: Pretraining,
    state_file: Path,
    identity: str,
    on_progress: OnProgress,
) -> None:
    optimizers = _optimizers(model, config)
    start = _resume(model, optimizers, state_file, identity)
    model.train()
    for step, batch in enumerate(batches[start:], start):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = config.learning_rate * _schedule(step, len(batches))
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        on_progress(step + 1, len(batches), loss.item())
        if (step + 1) % _STEPS_BETWEEN_SAVES == 0:
            _save_state(model, optimizers, state_file, identity, step + 1)


def _optimizers(model: Qwen3ForCausalLM, config: Pretraining) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the rest: AdamW alone, in as many steps, left the student
    unable to copy from its thinking (README.md)."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    rest = [model.model.embed_tokens.weight, *(p for p in model.parameters() if p.ndim == 1)]
    return [
        Muon(matrices),
        torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def _schedule(step: int, total: int) -> float:
    """Warm up over the first twentieth, hold, and fall linearly to nothing over the last half."""
    return min(1.0, (step + 1) / (0.05 * total), (total - step) / (0.5 * total))


def _loss(model: Qwen3ForCausalLM, batch: list[_Document]) -> torch.Tensor:
    """Mean cross-entropy of the responses' tokens; prompts carry no loss."""
    longest = max(len(document.ids) for document in batch)
    # Few distinct shapes: the kernels cached for each would take gigabytes otherwise.
    shape = len(batch), -(-longest // 16) * 16
    ids, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, _IGNORED)
    for row, document in enumerate(batch):
        tokens = torch.tensor(document.ids)
        ids[row, : len(tokens)] = tokens
        labels[row, document.prompt : len(tokens)] = tokens[document.prompt :]
    # No mask: padding is on the right, where causal attention does not look, and has no loss.
    states = model.model(input_ids=ids, use_cache=False).last_hidden_state
    follow = labels[:, 1:] != _IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(states[:, :-1][follow]), labels[:, 1:][follow])


def _resume(
    model: Qwen3ForCausalLM, optimizers: list[torch.optim.Optimizer], file: Path, identity: str
) -> int:
    if not file.exists():
        return 0
    state: dict[str, Any] = torch.load(file, weights_only=True)
    if state["identity"] != identity:
        raise ValueError(
            f"{file.parent}: holds an unfinished model of other settings; choose another directory or"
            f" remove it\n  there: {state['identity']}\n  asked: {identity}"
        )
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["steps"])


def _save_state(
    model: Qwen3ForCausalLM,
    optimizers: list[torch.optim.Optimizer],
    file: Path,
    identity: str,
    steps: int,
) -> None:
    weights = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
    torch.save({"identity": identity, "steps": steps, **weights}, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def _save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, role: Role, out_dir: Path) -> None:
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_k=0,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_ANSWER[role]),
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    (out_dir / "state.pt").unlink(missing_ok=True)
