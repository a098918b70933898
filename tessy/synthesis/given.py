"""Foreign exchanges as trajectories: the same texts, in the student's own format and ids. Pure.

Not covered: reading them (`tessy.sources`); who marks style and capability (`spans`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tessy.chat import Renderer, conversation
from tessy.records import Role, Span, SpanKind, StopReason, Trajectory
from tessy.sources import Exchange, Parts, Unfit

OWNERS: dict[SpanKind, Role] = {"style": "student", "capability": "teacher"}
"""Who would have written a span of a kind, if both had (Algorithm 1)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the trajectories of a given set share. A sequence over `max_length` ids is not trained on."""

    method: str
    source: str
    max_length: int


def trajectory(
    exchange: Exchange, parts: Parts, sample_id: str, problem_id: str, facts: Facts, renderer: Renderer
) -> Trajectory:
    """The exchange in the ids of `renderer`; raises `Unfit` where they would not say the same."""
    for what, part in (("thinking", parts.thinking), ("answer", parts.answer)):
        if found := next((mark for mark in renderer.markers if mark in part), None):
            raise Unfit("chat markup in the text", f"{found} in the {what}")
    prompt = renderer.prompt_ids(exchange.prompt, exchange.system)
    response = renderer.response_ids(parts.thinking, parts.answer)
    text = renderer.decode(response)
    thinking, closing, answer = _as_decoded(parts, renderer, text)
    ids = prompt + response
    reason: StopReason = "finished" if len(ids) <= facts.max_length else "length"
    before = _thinking_tokens(thinking, response, renderer)
    spans = [
        Span("teacher", "thinking", thinking, before, "end_of_thinking"),
        Span("student", "markup", closing, 0, "template"),
        Span("teacher", "answer", answer, max(0, len(response) - before), "end_of_answer"),
    ]
    return Trajectory(
        sample_id=sample_id,
        problem_id=problem_id,
        method=facts.method,
        prompt=exchange.prompt,
        messages=conversation(renderer, exchange.prompt, text, exchange.system),
        spans=spans,
        student_token_ids=ids,
        prompt_tokens=len(prompt),
        stop_reason=reason,
        generated_tokens=0,
        rolled_back_tokens=0,
        seed=0,
        sampler={},
        models={"teacher": facts.source},
        tokenizer=renderer.fingerprint,
    )


def marked(trajectory: Trajectory, style: Sequence[tuple[int, bool]], renderer: Renderer) -> Trajectory:
    """The trajectory with its thinking as spans of style and capability; `style` has (offset, whether it is
    style) of the thinking's tokens. What stands before the first belongs to it."""
    thinking, *rest = trajectory.spans
    if not style:
        return trajectory
    starts = [0]
    kinds = [style[0][1]]
    for offset, is_style in style[1:]:
        if is_style != kinds[-1]:
            starts.append(offset)
            kinds.append(is_style)
    ends = [*starts[1:], len(thinking.text)]
    spans = []
    for start, end, is_style in zip(starts, ends, kinds, strict=True):
        kind: SpanKind = "style" if is_style else "capability"
        text = thinking.text[start:end]
        spans.append(Span(OWNERS[kind], kind, text, len(renderer.encode(text)), "boundary"))
    spans[-1] = replace(spans[-1], ended_by="end_of_thinking")
    return replace(trajectory, spans=[*spans, *rest])


def _as_decoded(parts: Parts, renderer: Renderer, text: str) -> tuple[str, str, str]:
    """Thinking, what closes it, and answer as they stand in `text`, the decoded response. Qwen's tokenizer
    normalises to NFC, which is another spelling of the same text."""
    for form in (str, _nfc):
        thinking, answer = form(parts.thinking), form(parts.answer)
        closing = renderer.format.close_thinking
        if thinking + closing + answer in text:
            return thinking, closing, answer
    raise Unfit("text does not survive the student's tokenizer")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _thinking_tokens(thinking: str, response: Sequence[int], renderer: Renderer) -> int:
    """Tokens of a response up to the one that ends its thinking; where no single token does, of its text."""
    ends = {token for token in renderer.thinking_end_ids if renderer.end_reason("thinking", token) == "end"}
    at = next((place for place, token in enumerate(response) if token in ends), None)
    return len(renderer.encode(thinking)) if at is None else at
