"""Tokenizers and chat formats of the two tiny models.

Each model has a byte-level BPE trained on its own corpus, so hand-overs cross different vocabularies,
as between the paper's models. The student speaks Qwen3's chat format, the teacher gpt-oss harmony;
the canonical thinking is the text between `<think>\\n` and `\\n</think>`, or between the analysis
channel's `<|message|>` and `<|end|>`.

Not covered: tools, system messages and several turns, which no miniature problem has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from tessy.miniature.traces import Trace
from tessy.records import Role

MARKERS: dict[Role, tuple[str, ...]] = {
    "student": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "teacher": ("<|endoftext|>", "<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"),
}
"""Special tokens of each chat format; the first one pads."""

THINK_TAGS = ("<think>", "</think>")
"""Single tokens of the student, but not special ones: like Qwen3's they survive decoding."""

END_OF_ANSWER: dict[Role, str] = {"student": "<|im_end|>", "teacher": "<|return|>"}

# Words include the space before them but not the punctuation that code puts after an expression, so that
# an expression has the same tokens wherever it is copied.
_SPLIT = r" ?[^\s:;]+|[:;]+|\s+(?!\S)|\s+"

_QWEN3_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set thinking = message.reasoning_content | default('', true) %}
        {%- if '</think>' in content %}
            {%- set thinking = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n<think>\\n' + thinking + '\\n</think>\\n\\n' + content + '<|im_end|>' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

_HARMONY_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>analysis<|message|>' + (message.thinking | default('', true)) }}
        {{- '<|end|><|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant' }}
{%- endif %}
"""


def prompt_text(role: Role, prompt: str) -> str:
    """The context after which a model writes its response, as its chat template renders it."""
    if role == "student":
        return f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    return f"<|start|>user<|message|>{prompt}<|end|><|start|>assistant"


def response_text(role: Role, trace: Trace) -> str:
    """What a model writes after `prompt_text`, including its end marker."""
    if role == "student":
        return f"<think>\n{trace.thinking}\n</think>\n\n{trace.answer}<|im_end|>"
    thinking = f"<|channel|>analysis<|message|>{trace.thinking}<|end|>"
    return f"{thinking}<|start|>assistant<|channel|>final<|message|>{trace.answer}<|return|>"


def train_tokenizer(role: Role, traces: Iterable[Trace], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `size` entries with the role's markers, template, end and padding set."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size - len(THINK_TAGS),
        special_tokens=list(MARKERS[role]),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    markers = re.compile("|".join(map(re.escape, (*MARKERS[role], *THINK_TAGS))))
    rendered = (prompt_text(role, trace.prompt) + response_text(role, trace) for trace in traces)
    texts = (text for whole in rendered for text in markers.split(whole))
    tokenizer.train_from_iterator(texts, trainer)
    if role == "student":
        tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in THINK_TAGS])
    return _as_transformers(role, tokenizer)


def _as_transformers(role: Role, tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_ANSWER[role],
        pad_token=MARKERS[role][0],
        additional_special_tokens=list(MARKERS[role][1:]),
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=1024,
    )
    wrapped.chat_template = _QWEN3_TEMPLATE if role == "student" else _HARMONY_TEMPLATE
    tokens: PreTrainedTokenizerFast = wrapped
    return tokens
