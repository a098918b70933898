"""Where thinking opens and closes in a model's chat template.

It is taken, in this order, from the recipe, from how the template renders an assistant's thinking, from how
it switches thinking off, from a prompt that ends with an opened thinking, or from `<think>` and `</think>`
being tokens of the vocabulary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tessy.chat.probes import PROMPT, Probes, Turn, Unusable, around

TAG = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]|◁/?\w+▷")
_OPENS = re.compile(r"<\|?(?:start_)?(?:think|thinking|thought|reason|reasoning)\|?>|\[THINK\]|◁think▷", re.I)
_NOTHING = re.compile(r"(?P<open><(?P<tag>\w+)>\n?)(?P<close>\s*</(?P=tag)>\s*)$")


@dataclass(frozen=True, slots=True)
class Marks:
    """What opens and closes thinking, and what opens an answer without any."""

    open: str
    close: str
    no_thinking: str | None = None


def thinking_marks(
    tokenizer: Any, probes: Probes, given: Marks | None, after: str, turn: Turn
) -> tuple[str, Marks, str]:
    """What stands between the user's text and the model's, what opens and closes thinking, and how it was
    found."""
    if given is not None:
        header, opened = _split_before(after, given.open.strip())
        return header, Marks(opened or given.open, given.close, given.no_thinking), "from the recipe"
    if turn.reasoning:
        header, opening = _opening(after, turn)
        return header, Marks(opening, turn.between), f"rendered from a message's `{turn.reasoning}`"
    off = around(probes.prompt(thinks=False), PROMPT)[1]
    none = _NOTHING.search(off)
    if none and off != after:
        header = _split_before(after, none["open"].strip())[0]
        return header, Marks(none["open"], none["close"]), "rendered where thinking is switched off"
    openings = [m for m in _OPENS.finditer(after) if not after[m.end() :].strip()]
    if openings:
        at = openings[-1].start()
        return after[:at], _by_convention(after[at:]), "opened by the prompt; closed as is usual"
    if {"<think>", "</think>"} <= tokenizer.get_vocab().keys():
        return after, _by_convention("<think>\n"), "tokens of the vocabulary; the template has none"
    raise Unusable(
        "it has no thinking, and neither has the vocabulary; say in the recipe what opens and closes it, for "
        'example models.student.thinking: {open: "<think>\\n", close: "\\n</think>\\n\\n"}'
    )


def _split_before(after: str, tag: str) -> tuple[str, str]:
    """`after` up to `tag`, if it ends with that, and the rest."""
    if tag and after.rstrip().endswith(tag):
        at = after.rindex(tag)
        return after[:at], after[at:]
    return after, ""


def _opening(after: str, turn: Turn) -> tuple[str, str]:
    """What the prompt has behind the user's text without opening thinking, and what opens it."""
    if turn.head != after and turn.head.startswith(after):
        return after, turn.head[len(after) :]
    if not after.startswith(turn.head):
        raise Unusable(f"an assistant's turn begins with {turn.head!r} where the prompt has {after!r}")
    for tag in reversed(list(TAG.finditer(turn.head))):
        if _closing(tag[0]) in turn.between:
            return turn.head[: tag.start()], turn.head[tag.start() :]
    raise Unusable(f"nothing in {turn.head!r} opens the thinking that {turn.between!r} closes")


def _closing(tag: str) -> str:
    """What closes a tag: `</x>` for `<x>`, and the like of it."""
    if "START_" in tag.upper():
        return re.sub("start_", lambda m: "END_" if m[0].isupper() else "end_", tag, flags=re.I)
    if tag.startswith("<|") and not tag.endswith("|>"):
        return "<" + tag[2:-1] + "|>"
    return tag[0] + "/" + tag[1:]


def _by_convention(opening: str) -> Marks:
    closing = _closing(opening.strip())
    return Marks(opening, f"\n{closing}\n\n" if opening.endswith("\n") else closing)


def without_thinking(probes: Probes, header: str, turn: Turn, marks: Marks) -> tuple[str, str]:
    """What opens an answer without thinking, and how it was found."""
    off = around(probes.prompt(thinks=False), PROMPT)[1]
    for opening, where in (
        (off, "the template switches thinking off so"),
        (turn.plain_head, "an answer alone"),
    ):
        added = opening[len(header) :] if opening.startswith(header) else ""
        if added and added != marks.open:
            return added, where
    return marks.open + marks.close, "thinking is closed at once"
