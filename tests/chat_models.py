"""Small tokenizers in the official layout, with other models' real markers and chat templates.

Their words are trained on a few lines; markers, templates, end tokens and the way text is split are models'.
They are written as checkpoint folders and loaded as users load them. Templates come from the installed trl;
three that it lacks are written here after the published ones, with shorter words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from vocabularies import file_of

TEXT = [
    "Okay, so the sum of three and four is seven. Let me check: 3 + 4 = 7.",
    "def f(x):\n    return [i for i in range(x)]\n",
    "You are a helpful assistant. Answer the question, think step by step, print the result.",
]
Kind = Literal["bytes", "pieces", "old pieces", "gemma pieces"]
"""GPT-2's byte-level BPE; SentencePiece-style BPE with Metaspace; the same with the older normalizers
(Llama 2); and Gemma's, which puts no space before a text."""

_MARKERS = re.compile(
    r"<\|[\w ]+\|>|<｜[\w▁]+｜>|<\|\w+>|<\w+\|>|</?think>|</?tool_(?:call|response)>|<(?:start|end)_of_\w+>"
    r"|<end_of_utterance>|<[A-Z_]+_TOKEN>|\[gMASK\]|<sop>"
)
TRL = file_of("trl", "chat_templates")

SMOLLM3 = """\
{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{%- set mode = "/think" if enable_thinking else "/no_think" -%}
{{- "<|im_start|>system\\n" -}}
{%- if messages[0].role == "system" -%}
    {%- set custom = messages[0].content.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "## Metadata\\n\\nToday Date: " ~ strftime_now("%d %B %Y") ~ "\\nReasoning Mode: " + mode + "\\n\\n" -}}
{{- (custom if custom else "You are SmolLM. Write <think> thought </think> solution.") + "\\n\\n" -}}
{%- for message in messages -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>user\\n" + message.content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {%- set empty = "" if enable_thinking else "<think>\\n\\n</think>\\n" -%}
        {{ "<|im_start|>assistant\\n" + empty + message.content.lstrip("\\n") + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ "<|im_start|>assistant\\n" + ("" if enable_thinking else "<think>\\n\\n</think>\\n") }}
{%- endif -%}
"""
PHI4_REASONING = """\
{{'<|im_start|>system<|im_sep|>You are Phi. Write <think> {Thought} </think> {Solution section}.<|im_end|>'}}
{% for message in messages %}
{% if messages[0]['role'] == 'system' %}
{% elif message['role'] == 'user' %}
{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}
{% elif message['role'] == 'assistant' %}
{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant<|im_sep|>' }}
{% endif %}
"""
SMOLLM2 = """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}\
{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def template(name: str) -> str:
    """A template of the installed trl."""
    return (TRL / f"{name}.jinja").read_text(encoding="utf-8")


def write_tokenizer(
    folder: Path,
    chat_template: str,
    *,
    ends: Sequence[str],
    bos: str | None = None,
    extra: Sequence[str] = (),
    kind: Kind = "bytes",
    stripping: Sequence[str] = (),
    tokenizer_class: str = "PreTrainedTokenizerFast",
    model_type: str = "llama",
) -> Path:
    """A checkpoint folder without weights: tokenizer, template, and a generation config with end tokens.

    Markers are those spelled in the template, `ends`, `bos` and `extra`; those in `stripping` take the white
    space around them away.
    """
    named = [*_MARKERS.findall(chat_template), *ends, *([bos] if bos else []), *extra]
    tokenizer = Tokenizer.from_str(words(kind))
    for name in dict.fromkeys(named):
        special, strips = not re.match(r"</?(think|tool)", name), name in stripping
        token = AddedToken(name, special=special, normalized=False, lstrip=strips, rstrip=strips)
        tokenizer.add_special_tokens([token]) if special else tokenizer.add_tokens([token])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": tokenizer_class, "bos_token": bos, "eos_token": ends[0]}
    _write(folder / "tokenizer_config.json", {key: value for key, value in config.items() if value})
    (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
    _write(folder / "generation_config.json", {"eos_token_id": [tokenizer.token_to_id(end) for end in ends]})
    _write(folder / "config.json", {"model_type": model_type})
    return folder


@cache
def words(kind: Kind) -> str:
    """A tokenizer of that kind as JSON, without markers."""
    if kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer.train_from_iterator(
            TEXT, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
        )
        return tokenizer.to_str()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.train_from_iterator(
        [line.replace("\n", " ") for line in TEXT], trainers.BpeTrainer(vocab_size=160, show_progress=False)
    )
    learned = json.loads(tokenizer.to_str())["model"]
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    merges = [tuple(merge) for merge in learned["merges"]]
    model = models.BPE(
        {piece: number for number, piece in enumerate(dict.fromkeys(pieces))},
        merges,
        byte_fallback=True,
        fuse_unk=True,
        unk_token="<unk>",
    )
    return _pieces(Tokenizer(model), kind).to_str()


def _pieces(tokenizer: Any, kind: Kind) -> Any:
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if kind == "pieces":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        spaces.append(decoders.Strip(" ", 1, 0))
    elif kind == "old pieces":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        spaces.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(spaces)
    return tokenizer


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
