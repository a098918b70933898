"""A trajectory in the shapes that other tools read. Pure.

Only finished traces are made for training; `row` does not check that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tessy.errors import UserError
from tessy.records import Trajectory

Shape = Literal["messages", "sharegpt", "alpaca"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
Thinking = Literal["content", "reasoning_content", "thinking"]
"""Where the thinking stands: in the content between its markers, or in a field of its own. Templates of Qwen3
and most others read `reasoning_content`, gpt-oss's `thinking`."""
THINKING: tuple[Thinking, ...] = get_args(Thinking)
_PARTS = ("style", "capability", "thinking")


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are written. `tags` name the authors of ShareGPT's turns: `human` and `gpt` by custom; TRL
    passes them on as roles and needs `user` and `assistant`."""

    shape: Shape = "messages"
    thinking: Thinking = "content"
    tags: tuple[str, str] = ("human", "gpt")

    def __post_init__(self) -> None:
        if self.shape == "alpaca" and self.thinking != "content":
            raise UserError("alpaca has one output for thinking and answer; use thinking in the content")


def row(trajectory: Trajectory, layout: Layout) -> dict[str, Any]:
    """The trajectory as a row, with its sample id."""
    messages = _messages(trajectory, layout.thinking)
    if layout.shape == "messages":
        return {"id": trajectory.sample_id, "messages": messages}
    system = "".join(one["content"] for one in messages if one["role"] == "system")
    also = {"system": system} if system else {}
    *_, asked, said = messages
    if layout.shape == "alpaca":
        return {
            "id": trajectory.sample_id,
            **also,
            "instruction": asked["content"],
            "input": "",
            "output": said["content"],
        }
    human, gpt = layout.tags
    apart = {key: text for key, text in said.items() if key not in ("role", "content")}
    turns = [{"from": human, "value": asked["content"]}, {"from": gpt, "value": said["content"], **apart}]
    return {"id": trajectory.sample_id, **also, "conversations": turns}


def _messages(trajectory: Trajectory, thinking: Thinking) -> list[dict[str, str]]:
    *asked, said = trajectory.messages
    if said["role"] != "assistant":
        raise UserError(
            f"sample {trajectory.sample_id}: its messages end with the {said['role']}'s; an earlier version "
            "wrote this set without the response; run the recipe again"
        )
    if thinking == "content":
        return [*asked, said]
    thought = "".join(span.text for span in trajectory.spans if span.kind in _PARTS)
    answer = "".join(span.text for span in trajectory.spans if span.kind == "answer")
    apart: dict[str, str] = {"role": "assistant", "content": answer, thinking: thought}
    return [*asked, apart]
