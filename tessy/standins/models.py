"""Tiny random models that speak a family's chat format, and end what they write after a while.

A model is a Qwen3 of two layers, whichever family it stands for: this project's engine on a CPU knows no
other. Its vocabulary is the family's markers, bytes, and some words. All its tokens are about as likely at
any place, but those that end thinking and answers: every embedding has the same first coordinate, by which
the last layer knows how far to raise them. Where one marker ends thinking and another the answer (Qwen3,
DeepSeek-R1), attention finds out which is due: it carries along whether thinking was ended.

Not covered: gpt-oss' architecture, and anything that depends on what is said.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.chat.formats import FORMATS
from tessy.config.base import Sampler
from tessy.config.shipped import lexicon_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3Config

CONTEXT = 2048
WIDTH = 32
ENDS = {
    "qwen3": ("</think>", "<|im_end|>"),
    "deepseek_r1": ("</think>", "<｜end▁of▁sentence｜>"),
    "gpt_oss": ("<|end|>", "<|end|>"),
    "harmony": ("<|end|>", "<|end|>"),
}
"""What ends thinking, and what an answer."""
CODE = "x y n i for in range if else return print input int list sum max min sort = + - * / ( ) : 0 1 2 3 10"


def tokenizer(family: str, seed: int) -> PreTrainedTokenizerFast:
    """The markers of `family`, bytes, and words in an order of their own for every `seed`."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    lines = lexicon_file("english").read_text(encoding="utf-8").splitlines()
    phrases = [line for line in lines if not line.startswith("#")]
    words = sorted({word for phrase in phrases for word in phrase.split()} | set(CODE.split()))
    random.Random(seed).shuffle(words)
    entries = dict.fromkeys([*alphabet, *(f"Ġ{word}" for word in words)])
    made = Tokenizer(BPE({entry: number for number, entry in enumerate(entries)}, [], ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    pad, (_, end) = "<|endoftext|>", ENDS[family]
    # As in the families' own, `<think>` is a token but not a special one.
    needed = set(FORMATS[family].markers)
    special = sorted(name for name in {*needed, pad, end} if "think>" not in name)
    made.add_special_tokens([AddedToken(name, special=True) for name in special])
    tags = sorted(needed - set(special))
    made.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=end, pad_token=pad, model_max_length=CONTEXT
    )


def make_model(folder: Path, family: str, sampler: Sampler, length: int, seed: int) -> Path:
    """A model whose parts, drawn by `sampler`, are `length` tokens long on average."""
    import torch
    from transformers import Qwen3ForCausalLM

    words = tokenizer(family, seed)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(_config(len(words)))
    thinking, answer = (words.get_vocab()[end] for end in ENDS[family])
    # The last norm makes a coordinate that is alone in a vector of WIDTH as long as this.
    long = math.sqrt(WIDTH)
    raised = _raised(sampler, length, len(words)) / long
    with torch.no_grad():
        embedded, head = model.model.embed_tokens.weight, model.lm_head.weight
        embedded[:, 0], embedded[:, 1], head[:, :2] = 1, 0, 0
        head[thinking, 0] = raised
        if answer != thinking:
            _tell_apart(model, thinking)
            head[thinking, 1], head[answer, 1] = -raised, raised
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _tell_apart(model: Any, end: int) -> None:
    """Have attention of the first layer set the second coordinate where token `end` has been written: with
    queries of 0 it is a mean over what was written, in which only that token has such a coordinate."""
    first = model.model.layers[0].self_attn
    model.model.embed_tokens.weight[end, 1] = 1000.0
    for projection in (first.q_proj, first.k_proj, first.v_proj, first.o_proj):
        projection.weight.zero_()
    first.v_proj.weight[0, 1] = 1.0
    # A mean over CONTEXT still is many times the first coordinate.
    first.o_proj.weight[1, 0] = 10.0 * CONTEXT


def make_predictor(folder: Path, seed: int) -> Path:
    """A token classifier with two labels for any text, and no opinion."""
    import torch
    from transformers import Qwen3ForTokenClassification

    words = tokenizer("qwen3", seed)
    torch.manual_seed(seed)
    Qwen3ForTokenClassification(_config(len(words), num_labels=2)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _raised(sampler: Sampler, length: int, vocabulary: int) -> float:
    """The logit, where all others are about 0, of a token that is drawn once in `length` times; high enough
    for no sampler to cut it off."""
    others = min(sampler.top_k or vocabulary, vocabulary) * sampler.top_p
    return max(0.2, (sampler.temperature or 1.0) * math.log(max(2.0, others) / length))


def _config(vocabulary: int, **more: Any) -> Qwen3Config:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        **more,
    )
