"""A response to a prompt as diagnosis needs it, and the faults that make it a bad thing to learn from. Pure.

Not covered: whether it is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessy.records import Trajectory
from tessy.synthesis.repetition import RepetitionGuard

MARKERS = ("<think>", "</think>", "<|im_start|>", "<|im_end|>", "<|channel|>", "<|message|>", "<|end|>")
"""Markup that has no business inside a text; in one it is a sign of a response that was cut wrongly."""
UNCLOSED = "thinking never closed"
NO_ANSWER = "no answer"
REPETITIVE = "repeats itself without end"
CUT_OFF = frozenset({UNCLOSED, NO_ANSWER, "length"})
"""Faults of a response that was not written to its end."""


@dataclass(frozen=True, slots=True)
class Response:
    """`thinking` and `answer` without markup; `stop_reason` as in a `Trajectory`, `finished` where a set does
    not say. `ids` are its tokens with the prompt's `prompt_tokens`, in the vocabulary called `tokenizer`;
    none where a set holds text alone."""

    sample_id: str
    problem_id: str
    prompt: str
    thinking: str
    answer: str
    system: str = ""
    stop_reason: str = "finished"
    closed: bool = True
    """Whether the thinking ended before the answer."""
    ids: Sequence[int] = ()
    prompt_tokens: int = 0
    tokenizer: str = ""

    @property
    def text(self) -> str:
        return f"{self.thinking}\n{self.answer}"


def from_trajectory(trajectory: Trajectory) -> Response:
    """A synthesised trace; its kinds of spans are those of `tessy.records`."""
    thinking = [s.text for s in trajectory.spans if s.kind in ("style", "capability", "thinking")]
    answer = [s.text for s in trajectory.spans if s.kind == "answer"]
    return Response(
        trajectory.sample_id,
        trajectory.problem_id,
        trajectory.prompt,
        "".join(thinking),
        "".join(answer),
        stop_reason=trajectory.stop_reason,
        closed=any(s.kind == "markup" for s in trajectory.spans) or bool(answer),
        ids=trajectory.student_token_ids,
        prompt_tokens=trajectory.prompt_tokens,
        tokenizer=trajectory.tokenizer,
    )


def faults(response: Response) -> list[str]:
    """What is wrong with a response, in words that are the same for all of a kind."""
    found = [] if response.stop_reason == "finished" else [response.stop_reason]
    if not response.thinking.strip():
        found.append("no thinking")
    if not response.closed:
        found.append(UNCLOSED)
    if response.closed and not response.answer.strip():
        found.append(NO_ANSWER)
    if any(marker in response.text for marker in MARKERS):
        found.append("markup inside the text")
    if RepetitionGuard().read(response.text):
        found.append(REPETITIVE)
    return list(dict.fromkeys(found))
