"""Which column of a table is what: as the recipe names it, or guessed from its name. Pure.

Not covered: what a conversation looks like inside (`tessy.sources.conversations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tessy.config.sources import Columns
from tessy.errors import UserError, nearest

GUESSES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "problem_id", "question_id", "sample_id", "task_id", "uuid", "id_ddm", "hash_id"),
    "messages": ("messages", "conversations", "conversation", "dialogs", "dialog", "dialogue"),
    "prompt": ("prompt", "question", "problem", "instruction", "query", "input"),
    "system": ("system", "system_prompt"),
    "thinking": (
        "thinking",
        "reasoning",
        "reasoning_content",
        "thought",
        "reasoning_trace",
        "deepseek_reasoning",
    ),
    "response": (
        "response",
        "output",
        "completion",
        "generation",
        "answer",
        "solution",
        "deepseek_solution",
    ),
}
"""Names by what they hold, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table by what they hold; None where it has none."""

    id: str | None = None
    messages: str | None = None
    prompt: str | None = None
    system: str | None = None
    thinking: str | None = None
    response: str | None = None
    guessed: tuple[str, ...] = ()
    """What was guessed, for the user: `prompt is column 'question'`."""


def layout_of(columns: Columns, rows: Iterable[Mapping[str, object]], field: str) -> Layout:
    """The layout of a table that begins with `rows`. Raises `UserError` where the recipe's `field` names a
    column that it does not have, or nothing that holds prompts is found."""
    present = list(dict.fromkeys(name for row in rows for name in row))
    found: dict[str, str] = {}
    guessed = []
    asked = {
        "id": columns.id,
        "messages": columns.messages,
        "prompt": columns.prompt,
        "system": columns.system,
        "thinking": columns.thinking,
        "response": columns.response,
    }
    for what, named in asked.items():
        if named is not None and named not in present:
            raise UserError(
                f"{field}.columns.{what} {named!r}: no such column{nearest(named, present)}; there are: "
                f"{', '.join(present) or 'none'}"
            )
        by_lower = {name.strip().lower(): name for name in reversed(present)}
        guess = next((by_lower[name] for name in GUESSES[what] if name in by_lower), None)
        taken = set(found.values())
        if named is not None:
            found[what] = named
        elif guess is not None and guess not in taken and not _is_settled(what, columns):
            found[what] = guess
            guessed.append(f"{what} is column {guess!r}")
    # A conversation says more than a column beside it that repeats its beginning.
    if "messages" in found and columns.prompt is None:
        for what in ("prompt", "thinking", "response"):
            if asked[what] is None:
                found.pop(what, None)
        guessed = [one for one in guessed if not one.startswith(("prompt ", "thinking ", "response "))]
    if not {"messages", "prompt"} & found.keys():
        raise UserError(
            f"{field}: no column looks like prompts or conversations among {', '.join(present) or 'none'}; "
            "name one in `columns.prompt` or `columns.messages`"
        )
    return Layout(**found, guessed=tuple(guessed))


def _is_settled(what: str, columns: Columns) -> bool:
    """Whether the recipe names another place for what this column holds."""
    return what == "messages" and columns.prompt is not None
