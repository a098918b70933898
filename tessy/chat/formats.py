"""Chat formats: what differs between model families, as data. These are written by hand; `auto`
(`tessy.chat.probing`) works one out from a model's own template.

Prompts are those of the families' own templates with one user message and an optional system prompt.
Every special token that a model may write inside a part ends that part, with a reason, so that no control
token gets into accepted text.

Not covered: tools. Tool calls are not answered; the part ends as `tool_call`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Part = Literal["thinking", "answer"]
Field = Literal["prompt", "system"]
Side = Literal["left", "right", "both"]

EndReason = Literal["end", "unclosed", "tool_call", "stray"]
"""Why a part ended: closed as the format has it (`end`), the whole response closed inside the thinking
(`unclosed`), a tool called (`tool_call`), or markup where none belongs, such as another channel or turn
(`stray`)."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """Templates of a family. `markers` are single tokens wherever they stand in them; `{...}` is filled with
    text, which never becomes a marker.

    A prompt is `user`, or `system_user` where there is a system prompt ("" if the family knows none); what
    fills them is stripped of white space at its ends where the family's template does so (`strips`).
    `no_thinking` opens an answer without thinking; `ends` maps each marker to what it means in a part: of
    those, a vocabulary may lack some. `reasoning` is the field of a message that the family's template takes
    the thinking from, "" for none: there it stands in the content, between its markers.
    """

    user: str
    system_user: str
    open_thinking: str
    close_thinking: str
    no_thinking: str
    close_answer: str
    ends: Mapping[Part, Mapping[str, EndReason]]
    markers: frozenset[str]
    reasoning: str = ""
    strips: Mapping[Field, Side] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """The format as JSON types."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "ends": {part: dict(ends) for part, ends in self.ends.items()},
            "markers": sorted(self.markers),
            "strips": dict(self.strips),
        }

    @property
    def templates(self) -> tuple[str, ...]:
        """All texts with markers in them."""
        prompts = (self.user, self.system_user)
        return (*prompts, self.open_thinking, self.close_thinking, self.no_thinking, self.close_answer)


_MARKER = re.compile(r"<\|\w+\|>|<｜[\w▁]+｜>|</?think>")


def _family(
    *,
    opening: str = "",
    system: str,
    user: str,
    open_thinking: str,
    close_thinking: str,
    no_thinking: str,
    close_answer: str,
    ends: Mapping[Part, Mapping[str, EndReason]],
    reasoning: str = "",
) -> ChatFormat:
    """A format written by hand, in which everything that looks like a marker is one."""
    texts = (opening, system, user, open_thinking, close_thinking, no_thinking, close_answer)
    return ChatFormat(
        user=opening + user,
        system_user=opening + system + user,
        open_thinking=open_thinking,
        close_thinking=close_thinking,
        no_thinking=no_thinking,
        close_answer=close_answer,
        ends=ends,
        markers=frozenset(_MARKER.findall("".join(texts))) | {*ends["thinking"], *ends["answer"]},
        reasoning=reasoning,
    )


_QWEN3 = _family(
    system="<|im_start|>system\n{system}<|im_end|>\n",
    user="<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n",
    # The model itself writes <think>; a prefix that opens it is equivalent.
    open_thinking="<think>\n",
    close_thinking="\n</think>\n\n",
    no_thinking="<think>\n\n</think>\n\n",
    close_answer="<|im_end|>",
    ends={
        "thinking": {
            "</think>": "end",
            "<|im_end|>": "unclosed",
            "<|endoftext|>": "unclosed",
            "<|im_start|>": "stray",
            "<think>": "stray",
        },
        "answer": {
            "<|im_end|>": "end",
            "<|endoftext|>": "end",
            "<|im_start|>": "stray",
            "<think>": "stray",
            "</think>": "stray",
        },
    },
    reasoning="reasoning_content",
)

_DEEPSEEK_R1 = _family(
    opening="<｜begin▁of▁sentence｜>",
    system="{system}",
    user="<｜User｜>{prompt}<｜Assistant｜>",
    open_thinking="<think>\n",
    close_thinking="\n</think>\n\n",
    # The family's template always opens thinking; here it is closed at once.
    no_thinking="<think>\n\n</think>\n\n",
    close_answer="<｜end▁of▁sentence｜>",
    ends={
        "thinking": {
            "</think>": "end",
            "<｜end▁of▁sentence｜>": "unclosed",
            "<｜tool▁calls▁begin｜>": "tool_call",
            "<｜User｜>": "stray",
            "<｜Assistant｜>": "stray",
            "<think>": "stray",
        },
        "answer": {
            "<｜end▁of▁sentence｜>": "end",
            "<｜tool▁calls▁begin｜>": "tool_call",
            "<｜User｜>": "stray",
            "<｜Assistant｜>": "stray",
            "<think>": "stray",
            "</think>": "stray",
        },
    },
)

# Harmony: thinking is a message on the analysis channel, the answer one on the final channel. Only the
# first analysis message is used as the thinking; the model may write several.
_HARMONY_TEXTS = {
    # As in OpenAI's own renderer, which engines use; the Jinja template adds two line breaks.
    "system": "<|start|>developer<|message|># Instructions\n\n{system}<|end|>",
    "user": "<|start|>user<|message|>{prompt}<|end|><|start|>assistant",
    "open_thinking": "<|channel|>analysis<|message|>",
    "close_thinking": "<|end|><|start|>assistant<|channel|>final<|message|>",
    "no_thinking": "<|channel|>final<|message|>",
    "close_answer": "<|return|>",
    "reasoning": "thinking",
}
_HARMONY_ENDS: dict[Part, dict[str, EndReason]] = {
    "thinking": {
        "<|end|>": "end",
        "<|return|>": "unclosed",
        "<|start|>": "stray",
        "<|channel|>": "stray",
        "<|message|>": "stray",
    },
    "answer": {
        "<|return|>": "end",
        "<|end|>": "end",
        "<|start|>": "stray",
        "<|channel|>": "stray",
        "<|message|>": "stray",
    },
}
_HARMONY = _family(**_HARMONY_TEXTS, ends=_HARMONY_ENDS)
_GPT_OSS = _family(
    **_HARMONY_TEXTS,
    opening=(
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\n"
        "Current date: {date}\n\n"
        "Reasoning: {reasoning_effort}\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
    ),
    ends={
        "thinking": {**_HARMONY_ENDS["thinking"], "<|call|>": "tool_call", "<|endoftext|>": "unclosed"},
        "answer": {**_HARMONY_ENDS["answer"], "<|call|>": "tool_call", "<|endoftext|>": "end"},
    },
)

QWEN3_NO_NEWLINE = "qwen3_no_newline"
"""Qwen3's prompt without the line break behind the question, as the authors' release writes it."""

FORMATS: dict[str, ChatFormat] = {
    "qwen3": _QWEN3,
    QWEN3_NO_NEWLINE: replace(
        _QWEN3,
        user=_QWEN3.user.replace("{prompt}<|im_end|>\n", "{prompt}<|im_end|>"),
        system_user=_QWEN3.system_user.replace("{prompt}<|im_end|>\n", "{prompt}<|im_end|>"),
    ),
    "gpt_oss": _GPT_OSS,
    "deepseek_r1": _DEEPSEEK_R1,
    "harmony": _HARMONY,
}
"""By the name a recipe uses. `gpt_oss` is harmony as that family is trained on, with its system message;
`harmony` is bare, for the miniature teacher, whose vocabulary knows nothing else."""
