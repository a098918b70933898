"""How fast a model of a given size trains here, and how much memory that takes: `python -m train.probe`.

A Qwen3 of the chosen size with random weights is trained for a few steps on random sequences, by the same
code that trains the student. One JSON line tells tokens per second, peak memory and, with the device's
peak, the share of it that was used (MFU; arithmetic done twice for checkpointing does not count).

    python -m train.probe --model mini --tokens 160 --rows 16
    python -m train.probe --model 8b --tokens 40960 --method lora --tflops 989
    torchrun --nproc-per-node 1 -m train.probe --model 8b --tokens 4096 --zero 2 --offload --tflops 989
    torchrun --nproc-per-node 8 -m train.probe --model 8b --tokens 40960 --rows 8 --zero 3 --tflops 989

Not covered: data loading, checkpoints, and the time to the first step.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config, TrainerCallback

from tessy.config.train import TrainExecution, Training
from tessy.estimate import shape_of
from train.batches import Row
from train.examples import Example
from train.setup import Setting, device, make_trainer

SIZES: dict[str, dict[str, Any]] = {
    "mini": {
        "vocab_size": 768,
        "hidden_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 32,
        "intermediate_size": 192,
        "tie_word_embeddings": True,
    },
    "0.6b": {
        "vocab_size": 151936,
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "tie_word_embeddings": True,
    },
    "8b": {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 12288,
        "tie_word_embeddings": False,
    },
}
"""The students of the miniature recipe and of the paper, and the paper's predictor base."""


class Clock(TrainerCallback):
    """Notes when every step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def measure(
    model: str, tokens: int, rows: int, steps: int, method: str, spread: TrainExecution
) -> dict[str, Any]:
    """Tokens per second of all devices over `steps` steps after a first one, and peak MiB of one."""
    config = Qwen3Config(**SIZES[model], max_position_embeddings=max(tokens, 64), pad_token_id=0)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(_settings(tokens, rows, method), spread, seed=0, folder=Path(folder))
        found = _samples(config.vocab_size, tokens, rows * (steps + 1))
        numbers: list[Row] = [(sample,) for sample in range(len(found))]

        def load_model(dtype: torch.dtype, attn_implementation: str) -> Any:
            with device():
                return AutoModelForCausalLM.from_config(
                    config, dtype=dtype, attn_implementation=attn_implementation
                )

        trainer = make_trainer(setting, load_model, _tokenizer(), found, numbers, [clock])
        trainer.args.save_strategy = "no"
        trainer.train()
    rate = steps * rows * tokens / (clock.ends[-1] - clock.ends[0])
    flops = shape_of(config.to_dict()).flops_per_token(tokens, method) * rate
    return {
        "tokens_per_s": round(rate, 1),
        "peak_mib": round(_peak_mib()),
        "tflops_per_device": flops / 1e12 / spread.world,
    }


def _settings(tokens: int, rows: int, method: str) -> Training:
    return Training.model_validate(
        {
            "epochs": 1,
            "learning_rate": 1e-5,
            "batch_size": rows,
            "max_length": tokens,
            "warmup_share": 0.0,
            "schedule": "constant",
            "method": method,
        }
    )


def _samples(vocabulary: int, tokens: int, count: int) -> list[Example]:
    rng = np.random.default_rng(0)
    ids = rng.integers(3, vocabulary, (count, tokens), dtype=np.int32)
    return [Example(row, np.full(tokens, 2, np.int8), prompt=1) for row in ids]


def _tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")


def _peak_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / (1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure training speed and memory with random weights.")
    parser.add_argument("--model", choices=SIZES, required=True)
    parser.add_argument("--tokens", type=int, required=True, help="length of every sequence")
    parser.add_argument("--rows", type=int, default=1, help="sequences per optimizer step")
    parser.add_argument("--micro-batch", type=int, default=None, help="sequences a device works on at once")
    parser.add_argument("--steps", type=int, default=3, help="steps measured, after a first one")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--zero", type=int, choices=(0, 2, 3), default=0)
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--sequence-parallel", type=int, default=1)
    parser.add_argument("--tflops", type=float, default=None, help="the device's dense bfloat16 peak")
    asked = parser.parse_args()
    spread = TrainExecution(
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        zero=asked.zero,
        offload=asked.offload,
        sequence_parallel=asked.sequence_parallel,
        micro_batch=asked.micro_batch,
        attention=asked.attention,
    )
    found = measure(asked.model, asked.tokens, asked.rows, asked.steps, asked.method, spread)
    if asked.tflops:
        found["mfu"] = found["tflops_per_device"] / asked.tflops
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps({**vars(asked), **found}), flush=True)


if __name__ == "__main__":
    main()
