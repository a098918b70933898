"""`format: auto`: a chat format worked out from a model's own template.

The template renders a few conversations whose texts are known; what stands around those texts is the format.
It is then checked: other conversations must get the same ids from the format as from the template. A template
that cannot be used is refused with the reason.

Not covered: tools, images, several turns; templates that rewrite the user's text otherwise than by dropping
white space at its ends.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tessy.chat.formats import ChatFormat, EndReason, Field, Side
from tessy.chat.probes import PROMPT, SYSTEM, Probes, Turn, Unusable, around, message
from tessy.chat.renderer import Renderer
from tessy.chat.thinking import TAG, Marks, thinking_marks, without_thinking
from tessy.errors import UserError

REMEDY = "write the family out as `format`, or give `thinking` as text"
CHECKS = ("Print the sum.", "  a\n\nb\t ", "def f(x):\n    return {x}  # é 中文 😀")


@dataclass(frozen=True, slots=True)
class Found:
    """A format, and for people where its parts were found."""

    format: ChatFormat
    evidence: Mapping[str, str] = field(default_factory=dict)


def find_format(
    tokenizer: Any,
    *,
    thinking: Marks | None = None,
    arguments: Mapping[str, str | bool | int] | None = None,
    date: datetime.date | None = None,
    end_ids: Iterable[int] = (),
) -> Found:
    """The chat format of `tokenizer`; raises `UserError` with the reason if there is none.

    `thinking` overrides what the template says of it, `arguments` are further variables of the template,
    `date` is the day it is told, and `end_ids` are the generation config's end tokens.
    """
    try:
        return _find(tokenizer, Probes(tokenizer, arguments or {}, date), thinking, end_ids)
    except Unusable as reason:
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: its chat template cannot be used: {reason}"
        ) from None


def _find(tokenizer: Any, probes: Probes, given: Marks | None, end_ids: Iterable[int]) -> Found:
    evidence: dict[str, str] = {}
    user, after = around(probes.prompt(), PROMPT)
    system = _system(probes, after, evidence)
    turn = probes.turn()
    header, marks, evidence["thinking"] = thinking_marks(tokenizer, probes, given, after, turn)
    ends = _end_tokens(tokenizer, end_ids)
    markers = _markers(tokenizer)
    close_answer, evidence["end of answer"] = _end_of_answer(probes, turn, markers, ends)
    no_thinking = marks.no_thinking
    if no_thinking is None:
        no_thinking, evidence["no thinking"] = without_thinking(probes, header, turn, marks)
    texts = [user, header, *system, marks.open, marks.close, no_thinking, close_answer, turn.tail]
    for text in texts:
        if "{prompt}" in text or "{system}" in text:
            raise Unusable("it writes {prompt} or {system} itself, which stand for texts here")
    found = ChatFormat(
        user=user + "{prompt}" + header,
        system_user=system[0] + "{system}" + system[1] + "{prompt}" + header if system else "",
        open_thinking=marks.open,
        close_thinking=marks.close,
        no_thinking=no_thinking,
        close_answer=close_answer,
        ends={},
        markers=frozenset(m for m in markers if any(m in text for text in texts)),
        reasoning=turn.reasoning,
        strips=dict(_strips(probes, with_system=bool(system))),
    )
    source = probes.source
    named = [m for m in markers if m in source and m not in found.markers]
    found = _with_ends(found, [*found.markers, *named], ends, turn.tail)
    _check(tokenizer, probes, found, turn, after)
    return Found(found, evidence)


def _system(probes: Probes, after: str, evidence: dict[str, str]) -> list[str]:
    """The texts before and behind a system prompt; none where the template knows no such thing."""
    try:
        whole = probes.prompt(system=True)
    except Unusable as refused:
        evidence["system prompt"] = f"none: {refused}"
        return []
    if SYSTEM not in whole:
        evidence["system prompt"] = "none: the template leaves it out"
        return []
    opening, rest = around(whole, SYSTEM)
    between, behind = around(rest, PROMPT)
    if behind != after:
        raise Unusable("with a system prompt, it ends the user's message in another way")
    evidence["system prompt"] = "as the template has it"
    return [opening, between]


def _strips(probes: Probes, *, with_system: bool) -> Iterable[tuple[Field, Side]]:
    """The texts whose white space at the ends the template drops, and at which."""
    texts: list[tuple[Field, str]] = [("prompt", PROMPT), ("system", SYSTEM)]
    for name, text in texts[: 1 + with_system]:
        before, behind = "\n  ", " \n"
        plain = probes.prompt(system=with_system)
        whole = probes.prompt(system=with_system, replace={text: before + text + behind})
        kept: dict[str, Side | None] = {
            before + text + behind: None,
            text: "both",
            text + behind: "left",
            before + text: "right",
        }
        for what, side in kept.items():
            if whole == plain.replace(text, what):
                if side:
                    yield name, side
                break
        else:
            raise Unusable(f"it rewrites the white space of the {name} text in an unknown way")


def _end_tokens(tokenizer: Any, end_ids: Iterable[int]) -> list[str]:
    """Tokens that end a response: those of the generation config and of the tokenizer."""
    known = [tokenizer.convert_ids_to_tokens(token) for token in end_ids]
    known += [tokenizer.eos_token]
    if tokenizer.pad_token != getattr(tokenizer, "unk_token", None):
        known.append(tokenizer.pad_token)
    return list(dict.fromkeys(token for token in known if token))


def _markers(tokenizer: Any) -> list[str]:
    """Added tokens that are markup: special ones, and those that are spelled like tags."""
    added = tokenizer.added_tokens_decoder.values()
    return [t.content for t in added if t.content.strip() and (t.special or TAG.fullmatch(t.content))]


def _end_of_answer(
    probes: Probes, turn: Turn, markers: Sequence[str], ends: Sequence[str]
) -> tuple[str, str]:
    """What ends a finished answer, and how it was found."""
    for wanted, where in ((ends, "an end token behind the answer"), (markers, "a marker behind the answer")):
        found = [(turn.tail.index(m), -len(m), m) for m in wanted if m in turn.tail]
        if found:
            at, _, marker = min(found)
            return turn.tail[: at + len(marker)], where
    follows = probes.next_turn()
    if following := [m for m in ends if follows.startswith(m)]:
        return following[0], "what follows an answer is an end token"
    if ends:
        return ends[0], "the template ends no answer; the first end token does"
    raise Unusable("it ends no answer, and the model names no end token")


def _with_ends(form: ChatFormat, markers: Sequence[str], ends: Sequence[str], tail: str) -> ChatFormat:
    """The format with what each marker means where a model writes it."""

    def first(text: str) -> str:
        found = [(text.index(m), -len(m), m) for m in markers if m in text]
        return min(found)[2] if found else ""

    closes = first(form.close_thinking)
    over = {*ends, *(m for m in markers if m in form.close_answer)}
    turn_end = first(form.user.partition("{prompt}")[2])
    if turn_end and (turn_end in tail or turn_end in form.close_thinking):
        over.add(turn_end)
    thinking: dict[str, EndReason] = {}
    answer: dict[str, EndReason] = {}
    for marker in dict.fromkeys([*markers, *ends]):
        if form.user.startswith(marker) and form.user.count(marker) == 1 and marker not in over:
            # What opens a document cannot come again.
            continue
        if "tool" in marker or "call" in marker:
            thinking[marker] = answer[marker] = "tool_call"
            continue
        thinking[marker] = "unclosed" if marker in over else "stray"
        answer[marker] = "end" if marker in over else "stray"
    if closes:
        thinking[closes] = "end"
    known = form.markers | {*thinking, *answer}
    return replace(form, ends={"thinking": thinking, "answer": answer}, markers=frozenset(known))


def _check(tokenizer: Any, probes: Probes, form: ChatFormat, turn: Turn, after: str) -> None:
    """Raise `Unusable` unless format and template give the same ids."""
    chat = Renderer(tokenizer, form)
    opened = chat.open_thinking_ids() if after != form.user.partition("{prompt}")[2] else []
    for text in CHECKS:
        for system in ("", "Be brief.\n") if form.system_user else ("",):
            messages = [*([message("system", system)] if system else []), message("user", text)]
            wanted = tokenizer.encode(probes.render(messages, prompt=True), add_special_tokens=False)
            _require_same(chat, [*chat.prompt_ids(text, system), *opened], wanted, "prompt")
    if not turn.reasoning:
        return
    thought, answer = "Okay, so 1 + 1.", "It is 2."
    said = message("assistant", answer) | {turn.reasoning: thought}
    whole = probes.render([message("user", "Add."), said])
    wanted = chat.decode(tokenizer.encode(whole, add_special_tokens=False))
    ids = chat.prompt_ids("Add.") + chat.open_thinking_ids() + chat.encode(thought)
    ids += chat.close_thinking_ids(thought) + chat.encode(answer) + chat.close_answer_ids()
    # As text: thinking is encoded by itself, where a template's line break may be one token with its last
    # character. Templates may end a turn otherwise than models do, and write more behind it.
    written = chat.decode(ids)
    if not turn.tail.startswith(form.close_answer):
        written = written.removesuffix(form.close_answer)
    if not wanted.startswith(written):
        raise Unusable(f"it writes {wanted!r} where the format found for it has {written!r}; {REMEDY}")


def _require_same(chat: Renderer, ids: Sequence[int], wanted: Sequence[int], what: str) -> None:
    if list(ids) == list(wanted):
        return
    at = next((i for i, (a, b) in enumerate(zip(ids, wanted, strict=False)) if a != b), len(wanted))
    there = slice(max(0, at - 3), at + 5)
    raise Unusable(
        f"its {what} has other ids than the format found for it: {chat.decode(wanted[there])!r} against "
        f"{chat.decode(ids[there])!r}; {REMEDY}"
    )
