"""How fast a model of a given size trains here, how much memory that takes, and where the time goes.

A Qwen3 of the chosen size with random weights is trained for a few steps on random sequences, by the same
code that trains the student. One JSON line tells tokens per second, peak memory beside the planner's
estimate and, with the device's peak, the share of it that was used (MFU; arithmetic done twice for
checkpointing does not count). `--profile` adds `shares` of a step's time by what the kernels compute. Several
numbers of tokens and several `--execution` are measured one after another, in one process, each with a line
of its own; where one cannot be measured here, `error` in it says why. Nothing else is on standard output.

    python -m train.probe --model mini --tokens 160 --rows 16
    python -m train.probe --model 8b --tokens 4096,16384,40960 --method lora --tflops 989 --profile \\
        --execution '{}' --execution '{kernels: liger, recompute: all_but_attention}'
    torchrun --nproc-per-node 8 -m train.probe --model 8b --tokens 40960 --rows 8 --tflops 989 \\
        --execution '{zero: 3, micro_batch: 1}'

Not covered: data loading, checkpoints, and the time to the first step.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config, TrainerCallback

from tessy.config.execution import Execution
from tessy.config.load import check
from tessy.config.train import TrainExecution, Training
from tessy.errors import UserError
from tessy.estimate import SLACK, memory
from tessy.shapes import QWEN3, shape_of
from tessy.stages.checks import training_package_faults
from tessy.terminal import only_answers
from train.batches import Row
from train.breakdown import Breakdown
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
    **{name: dict(fields) for name, fields in QWEN3.items()},
}
"""The miniature's student, and Qwen3's published shapes."""


class Clock(TrainerCallback):
    """Notes when every step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def measure(
    model: str,
    rows: int,
    steps: int,
    train: Training,
    spread: TrainExecution,
    pack: int = 1,
    profile: bool = False,
) -> dict[str, Any]:
    """Tokens per second of all devices over `steps` steps after a first one, and peak MiB of one; every row
    holds `pack` samples. A last step, which does not count, is profiled."""
    tokens = train.max_length
    config = Qwen3Config(**SIZES[model], max_position_embeddings=max(tokens, 64), pad_token_id=0)
    clock, breakdown = Clock(), Breakdown(steps + 2)
    _forget_peak()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(train, spread, seed=0, folder=Path(folder))
        count = rows * (steps + 1 + profile)
        found = _samples(config.vocab_size, tokens // pack, count * pack)
        numbers: list[Row] = [tuple(range(row * pack, (row + 1) * pack)) for row in range(count)]

        def load_model(dtype: torch.dtype, attn_implementation: str) -> Any:
            with device():
                return AutoModelForCausalLM.from_config(
                    config, dtype=dtype, attn_implementation=attn_implementation
                )

        trainer = make_trainer(setting, load_model, _tokenizer(), found, numbers, [clock, breakdown])
        trainer.args.save_strategy = "no"
        trainer.train()
    rate = steps * rows * tokens // pack * pack / (clock.ends[steps] - clock.ends[0])
    shape = shape_of(config.to_dict())
    flops = shape.flops_per_token(tokens / pack, train.method) * rate
    planned = sum(memory(shape, train, spread).values()) - SLACK
    return {
        "tokens_per_s": round(rate, 1),
        "peak_mib": round(_peak_mib()),
        "planned_mib": round(planned / (1 << 20)),
        "tflops_per_device": flops / 1e12 / spread.world,
        **({"shares": breakdown.shares, "longest_kernels": breakdown.longest} if profile else {}),
    }


def settings(
    tokens: int, rows: int, method: str, optimizer: str = "adamw", packing: bool = False
) -> Training:
    """The recipe's section `train` for rows of `tokens`."""
    return Training.model_validate(
        {
            "epochs": 1,
            "learning_rate": 1e-5,
            "batch_size": rows,
            "max_length": tokens,
            "warmup_share": 0.0,
            "schedule": "constant",
            "method": method,
            "optimizer": optimizer,
            "packing": packing,
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


def _forget_peak() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_mib() -> float:
    """Of tensors on a GPU; on a CPU of the process, from its start."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / (1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _count(text: str) -> int:
    """A positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(part.strip()) for part in text.split(",")]


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def spread_of(text: str) -> TrainExecution:
    """The section that `--execution` gives as YAML, for the processes there are; raises `UserError`."""
    where = f"--execution {text!r}"
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{where}: must map fields of execution.train to values, like {{recompute: layers}}")
    spread = check(raw | {"processes": int(os.environ.get("WORLD_SIZE", "1"))}, where, TrainExecution)
    if spread.zero and "WORLD_SIZE" not in os.environ:
        raise UserError(
            f"{where}: DeepSpeed's processes are started by torchrun, one as well: "
            "torchrun --nproc-per-node 1 -m train.probe ..."
        )
    return spread


def check_sizes(asked: argparse.Namespace, spreads: Iterable[tuple[str, TrainExecution]]) -> None:
    """Raise `UserError` where rows cannot be filled, or divided as `spreads` say."""
    for tokens in asked.tokens:
        if tokens < 2 * asked.pack:
            raise UserError(
                f"--tokens {tokens} with --pack {asked.pack}: a sample has at least 2 tokens, for of one "
                f"alone nothing is predicted; give at least {2 * asked.pack}"
            )
    train = settings(max(asked.tokens), asked.rows, asked.method, asked.optimizer, asked.pack > 1)
    for text, spread in spreads:
        try:
            spread.check(train)
        except ValueError as error:
            raise UserError(f"--execution {text!r} with --rows {asked.rows}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> None:
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=SIZES, required=True)
    parser.add_argument(
        "--tokens", type=_counts, required=True, help="length of every row; several, with commas"
    )
    parser.add_argument("--rows", type=_count, default=1, help="rows per optimizer step")
    parser.add_argument("--pack", type=_count, default=1, help="samples in every row")
    parser.add_argument("--steps", type=_count, default=3, help="steps measured, after a first one")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--optimizer", choices=("adamw", "adamw_8bit"), default="adamw")
    parser.add_argument(
        "--execution", action="append", help="the recipe's execution.train as YAML; may repeat"
    )
    parser.add_argument("--tflops", type=_above_zero, default=None, help="the device's dense bfloat16 peak")
    parser.add_argument("--profile", action="store_true", help="tell where the time of one more step goes")
    parser.add_argument(
        "--seconds", type=_above_zero, default=None, help="start no measurement after so long"
    )
    asked = parser.parse_args(arguments)
    try:
        spreads = [(text, spread_of(text)) for text in asked.execution or ["{}"]]
        check_sizes(asked, spreads)
    except UserError as error:
        parser.error(str(error))
    # Liger replaces classes for the rest of the process: what goes without comes first.
    for text, spread in sorted(spreads, key=lambda pair: pair[1].kernels == "liger"):
        for tokens in asked.tokens:
            if asked.seconds is None or time.monotonic() - began < asked.seconds:
                _print(asked, tokens, text, spread)


def _print(asked: argparse.Namespace, tokens: int, text: str, spread: TrainExecution) -> None:
    """Measure once, and print the line; what is not installed or does not fit in memory is said in it."""
    train = settings(tokens, asked.rows, asked.method, asked.optimizer, asked.pack > 1)
    with only_answers():
        found = _found(asked, train, spread)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps({**vars(asked), "tokens": tokens, "execution": text, **found}), flush=True)


def _found(asked: argparse.Namespace, train: Training, spread: TrainExecution) -> dict[str, Any]:
    if missing := list(training_package_faults(Execution(train=spread), train)):
        return {"error": "; ".join(missing)}
    try:
        found = measure(asked.model, asked.rows, asked.steps, train, spread, asked.pack, asked.profile)
    except (torch.cuda.OutOfMemoryError, ImportError) as error:
        # Also of packages that only transformers knows to ask for, such as those of flash attention.
        return {"error": str(error).strip().splitlines()[0]}
    return found | ({"mfu": found["tflops_per_device"] / asked.tflops} if asked.tflops else {})


if __name__ == "__main__":
    main()
