"""Checkpoints of real sizes with random weights: for speed, what a model says does not matter.

Every token but the markers is a word of its own, so that text and ids are told from each other as in real
use and hand-overs fall between words. Models are a folder with `config.json` and tokenizer (vLLM's
`load_format: dummy` makes the weights); predictors have weights, too.

Not covered: anything that depends on what is written.
"""

from __future__ import annotations

import itertools
import math
import random
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForTokenClassification

from tessy.errors import UserError
from tessy.miniature.tokens import MARKERS, THINK_TAGS
from tessy.shapes import QWEN3, shape_of

SPECIAL = (*MARKERS["student"], *THINK_TAGS)
POSITIONS = 40_960
DAMPED = 0.01
"""Of random layers little is left in a predictor: what it says then depends on the token alone, so that
boundaries are spread evenly."""
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "tie_word_embeddings": True,
        # So many that hardly an answer consists of parts of a character alone, which have no text.
        "vocab_size": 32_768,
    },
    **{name: dict(fields) for name, fields in QWEN3.items()},
}
"""Qwen3's published shapes, and one for tests."""


def parse_sizes(text: str) -> dict[str, str]:
    """`student=8b,teacher=8b,predictor=0.6b` by name; raises `UserError` for anything else."""
    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    if set(pairs) != {"student", "teacher", "predictor"} or not set(pairs.values()) <= SIZES.keys():
        raise UserError(
            f"--sizes {text!r}: name student, teacher and predictor, each with one of {', '.join(SIZES)}: "
            "student=8b,teacher=8b,predictor=0.6b"
        )
    return pairs


def make_model(folder: Path, size: str) -> None:
    """`config.json` and tokenizer of a language model."""
    _config(size, architectures=["Qwen3ForCausalLM"]).save_pretrained(folder)
    tokenizer_of(SIZES[size]["vocab_size"]).save_pretrained(folder)


def make_predictor(folder: Path, size: str, device: str = "cpu") -> None:
    """A token classifier with two labels; weights are drawn on `device`, with a fixed seed, in bfloat16."""
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen3ForTokenClassification._from_config(_config(size, num_labels=2), dtype=torch.bfloat16)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight *= DAMPED
            layer.mlp.down_proj.weight *= DAMPED
    model.save_pretrained(folder)
    tokenizer_of(SIZES[size]["vocab_size"]).save_pretrained(folder)


def tilted(folder: Path, into: Path, threshold: float) -> None:
    """The predictor in `folder`, saved in `into` with a bias by which a half is what `threshold` was."""
    model = Qwen3ForTokenClassification.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        model.score.bias[0] += math.log(threshold / (1 - threshold))
    model.save_pretrained(into)
    PreTrainedTokenizerFast.from_pretrained(folder).save_pretrained(into)


def _config(size: str, **more: Any) -> Qwen3Config:
    return Qwen3Config(**SIZES[size], max_position_embeddings=POSITIONS, **more)


def kv_bytes_per_token(size: str) -> int:
    """Bytes of one token in the key-value cache, in 16 bits."""
    return 2 * shape_of(SIZES[size]).cached(1)


def words(count: int) -> list[str]:
    """`count` words of four letters, all different."""
    letters = itertools.product(string.ascii_lowercase, repeat=4)
    return ["".join(word) for word in itertools.islice(letters, count)]


def tokenizer_of(size: int) -> PreTrainedTokenizerFast:
    """`size` ids: bytes, words with the space before them, and Qwen's markers at the end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*alphabet, *(f"Ġ{word}" for word in words(size - len(alphabet) - len(SPECIAL)))]
    vocabulary: Mapping[str, int] = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(BPE(dict(vocabulary), [], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in MARKERS["student"]])
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in THINK_TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=POSITIONS,
    )


def random_text(size: str, count: int, seed: int) -> str:
    """`count` words of the vocabulary of `size`, each behind a space."""
    rng, known = random.Random(seed), words(SIZES[size]["vocab_size"] - 256 - len(SPECIAL))
    return "".join(f" {rng.choice(known)}" for _ in range(count))
