"""A boundary predictor of noise, loud enough that few of its labels are in doubt, and texts to judge."""

from __future__ import annotations

import os
import random
from pathlib import Path

TEXT = "okay then so , x = 2 * ( y + 13 ) ; return hmm wait é 漢字 done ."
DEVICE = os.environ.get("PREDICTOR_DEVICE", "cpu")
"""What predictors in the tests' own process compute on: `cuda` where somebody has one and wants to see."""
WORDS = [*TEXT.split(), "hmm\n", "wait\n\n"]


def make_predictor(
    folder: Path, labels: int = 2, seed: int = 0, dtype: str = "float32", family: str = "qwen3"
) -> Path:
    """Save it in `folder`, with a byte-level vocabulary learnt from `WORDS`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family,
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        **({} if family == "bert" else {"num_key_value_heads": 2}),
        **({"head_dim": 32} if family == "qwen3" else {}),
        max_position_embeddings=64,
        num_labels=labels,
        initializer_range=0.3,
    )
    model = AutoModelForTokenClassification.from_config(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def text_of(seed: int, words: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(["", " ", " ", " ", "\n"]) + rng.choice(WORDS) for _ in range(words))
