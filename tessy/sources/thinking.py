"""Thinking and answer in one text, told apart by the markers that are around. Pure."""

from __future__ import annotations

from typing import NamedTuple

from tessy.sources.conversations import Exchange
from tessy.sources.leftout import Unfit


class Markers(NamedTuple):
    """The texts that open and close thinking, and those around the answer, where there are such."""

    opening: str
    closing: str
    answer: tuple[str, ...] = ()


KNOWN = (
    Markers("<think>", "</think>"),
    Markers(
        "<|begin_of_thought|>",
        "<|end_of_thought|>",
        ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ),
    Markers("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    Markers("[THINK]", "[/THINK]"),
    Markers("◁think▷", "◁/think▷"),
    Markers("<thinking>", "</thinking>"),
    Markers("<thought>", "</thought>"),
    Markers("<reasoning>", "</reasoning>"),
    Markers("<seed:think>", "</seed:think>"),
)
"""Qwen3, DeepSeek-R1 and most others; OpenThoughts; gpt-oss; Magistral; Kimi; tags that prompts ask for."""
ENDS = ("<|im_end|>", "<|endoftext|>", "<|return|>", "<｜end▁of▁sentence｜>", "<|eot_id|>", "</s>")
"""Ends of a turn that some sets keep in the text."""


class Parts(NamedTuple):
    """The parts of a response, without white space at their ends."""

    thinking: str
    answer: str


def parts_of(exchange: Exchange, markers: Markers | None = None) -> Parts:
    """Thinking and answer of a response; `markers` are its own, if the known ones are not. Raises `Unfit`."""
    text = _without_end(exchange.response)
    found = _split(text, (markers,) if markers else KNOWN)
    if found is None:
        if not (exchange.thinking or "").strip():
            raise Unfit("no thinking", "no known markers in the response")
        found = Parts(str(exchange.thinking), text)
    thinking, answer = found.thinking.strip(), found.answer.strip()
    if not thinking:
        raise Unfit("empty thinking")
    if not answer:
        raise Unfit("empty answer")
    return Parts(thinking, answer)


def _split(text: str, known: tuple[Markers, ...]) -> Parts | None:
    """The parts by the markers that open the text, or that close thinking which the prompt opened."""
    begun = text.lstrip()
    marks = next((m for m in known if begun.startswith(m.opening)), None)
    marks = marks or next((m for m in known if m.closing in text and m.opening not in text), None)
    if marks is None:
        late = next((m for m in known if m.opening in text and m.closing in text), None)
        if late is not None:
            raise Unfit("text before the thinking", repr(text[: text.index(late.opening)][:40]))
        return None
    thinking, closed, answer = begun.removeprefix(marks.opening).partition(marks.closing)
    if not closed:
        raise Unfit("thinking is not closed", f"no {marks.closing}")
    if marks.closing in answer or marks.opening in answer:
        raise Unfit("thinking more than once", marks.closing)
    for mark in marks.answer:
        answer = answer.replace(mark, "", 1)
    return Parts(thinking, answer)


def _without_end(text: str) -> str:
    """The text without the marker that ends its turn."""
    text = text.rstrip()
    return next((text.removesuffix(end) for end in ENDS if text.endswith(end)), text)
