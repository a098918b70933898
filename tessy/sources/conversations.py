"""A row as one exchange: a prompt and the response to it. Pure.

Read are messages (`role`, `content`, thinking in `reasoning_content` or `thinking`), ShareGPT's turns
(`from`, `value`), both also as JSON text or as a table of lists, and columns of prompts and responses.

Not covered: several exchanges in a conversation, tools, pictures; such rows are unfit. Thinking inside a
response (`tessy.sources.thinking`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tessy.sources.layouts import Layout
from tessy.sources.leftout import Unfit

ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
"""What a turn's author is called in the sets that are around."""
_THINKING = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True, slots=True)
class Exchange:
    """`thinking` is None where it does not stand apart from the response."""

    prompt: str
    response: str
    thinking: str | None = None
    system: str = ""


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    content: str
    thinking: str | None


def exchange_of(values: Mapping[str, object], layout: Layout) -> Exchange:
    """The exchange in a row; raises `Unfit`."""
    if layout.messages is None:
        assert layout.prompt is not None
        if layout.response is None:
            raise Unfit("no response")
        thinking = _optional(values, layout.thinking)
        return Exchange(
            _cell(values, layout.prompt, "prompt"),
            _cell(values, layout.response, "response"),
            thinking,
            _optional(values, layout.system) or "",
        )
    system, prompt, rest = _opening(values, layout)
    if not rest:
        raise Unfit("no response")
    if len(rest) > 1:
        raise Unfit("more than one exchange", f"{len(rest) + 1} turns behind the system prompt")
    (answer,) = rest
    if answer.role != "assistant":
        raise Unfit("no response", f"the prompt is followed by a turn of {answer.role!r}")
    return Exchange(prompt, _filled(answer.content, "response"), answer.thinking, system)


def prompt_of(values: Mapping[str, object], layout: Layout) -> str:
    """The prompt in a row, whatever follows it; raises `Unfit`."""
    if layout.messages is None:
        assert layout.prompt is not None
        return _cell(values, layout.prompt, "prompt")
    return _opening(values, layout)[1]


def id_of(values: Mapping[str, object], layout: Layout, origin: str) -> str:
    """What the row is called: its `id`, or its place."""
    found = values.get(layout.id) if layout.id else None
    if isinstance(found, float) and found.is_integer():
        # pandas makes fractions of numbers in a column that has gaps.
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return origin
    return _text(found, "id").strip() or origin


def _opening(values: Mapping[str, object], layout: Layout) -> tuple[str, str, list[_Turn]]:
    """System prompt, prompt, and the turns behind it."""
    assert layout.messages is not None
    turns = list(_turns(values.get(layout.messages)))
    system = _optional(values, layout.system) or ""
    while turns and turns[0].role == "system":
        system = "\n\n".join(part for part in (system, turns.pop(0).content) if part)
    if not turns or turns[0].role != "user":
        raise Unfit("no prompt", f"the conversation begins with {turns[0].role!r}" if turns else "no turns")
    return system, _filled(turns[0].content, "prompt"), turns[1:]


def _turns(found: object) -> Iterable[_Turn]:
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError) as error:
            raise Unfit("conversation is no list of turns", str(error)) from None
    if isinstance(found, Mapping):
        found = _transposed(found)
    if not isinstance(found, Sequence):
        raise Unfit("conversation is no list of turns", f"it is {type(found).__name__}")
    for turn in found:
        if not isinstance(turn, Mapping):
            raise Unfit("conversation is no list of turns", f"a turn is {type(turn).__name__}")
        if turn.get("tool_calls"):
            raise Unfit("a turn that calls tools")
        author = turn.get("role", turn.get("from"))
        role = ROLES.get(str(author).lower())
        if role is None:
            raise Unfit("a turn of an unknown role", repr(author))
        apart = [turn[name] for name in _THINKING if turn.get(name)]
        yield _Turn(
            role,
            _content(turn.get("content", turn.get("value", turn.get("text")))),
            _text(apart[0], "thinking") if apart else None,
        )


def _transposed(columns: Mapping[str, object]) -> list[dict[str, object]]:
    """Turns from lists by field, as `datasets` writes sequences of records."""
    lists = {key: value for key, value in columns.items() if isinstance(value, list)}
    if not lists:
        raise Unfit("conversation is no list of turns", "it is one object")
    return [dict(zip(lists, turn, strict=False)) for turn in zip(*lists.values(), strict=False)]


def _content(found: object) -> str:
    """The text of a turn, which may come in parts."""
    if isinstance(found, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in found]
        if not all(isinstance(part, str) for part in parts):
            raise Unfit("content is no text", "a part that is no text")
        return _text("".join(str(part) for part in parts), "content")
    return _text("" if found is None else found, "content")


def _cell(values: Mapping[str, object], column: str, what: str) -> str:
    """The text of a column, which a row of another file may not have."""
    if column not in values:
        raise Unfit(f"empty {what}", f"no column {column!r} among {', '.join(map(str, values)) or 'none'}")
    return _filled(values[column], what)


def _optional(values: Mapping[str, object], column: str | None) -> str | None:
    found = values.get(column) if column else None
    return None if _is_missing(found) else _text(found, str(column))


def _filled(found: object, what: str) -> str:
    text = _text("" if _is_missing(found) else found, what)
    if not text.strip():
        raise Unfit(f"empty {what}")
    return text


def _is_missing(found: object) -> bool:
    """Whether nothing is there; pandas writes that as NaN."""
    return found is None or (isinstance(found, float) and math.isnan(found))


def _text(found: object, what: str) -> str:
    if isinstance(found, bytes):
        # Parquet of Hive and Impala has text in binary columns.
        found = found.decode(errors="surrogateescape")
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str):
        raise Unfit(f"{what} is no text", f"it is {type(found).__name__}")
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise Unfit("not UTF-8", f"`{what}` at character {error.start}") from None
    return found
