"""Conversations of known texts, rendered by a model's own chat template."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROMPT, SYSTEM, THOUGHT, ANSWER = "QxPromptx7", "QxSystemx7", "QxThoughtx7", "QxAnswerx7"
"""Texts that no template has itself."""
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message that templates take thinking from."""

Message = dict[str, str]


class Unusable(Exception):
    """The template cannot be used, for the reason given."""


def message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


@dataclass(frozen=True, slots=True)
class Turn:
    """An assistant's turn as the template writes it: `head` and `between` stand before and behind its
    thinking, `tail` behind its answer. `reasoning` is the field that the thinking is taken from; where the
    template writes none it is "", and so are `head` and `between`. `plain_head` stands before an answer that
    has no thinking."""

    reasoning: str
    head: str
    between: str
    tail: str
    plain_head: str


class Probes:
    """The template of `tokenizer`, with its further variables `arguments`, on the day `date`."""

    def __init__(
        self, tokenizer: Any, arguments: Mapping[str, str | bool | int], date: datetime.date | None
    ) -> None:
        self._tokenizer, self._arguments, self._date = tokenizer, arguments, date
        if not tokenizer.chat_template:
            raise Unusable(
                "there is none (no chat_template in its tokenizer); write the family out as `format`"
            )

    @property
    def source(self) -> str:
        """The text of the template."""
        return str(self._tokenizer.get_chat_template())

    def render(self, messages: Sequence[Message], *, prompt: bool = False, thinks: bool = True) -> str:
        """What the template makes of `messages`; with `prompt`, up to where the model starts to write."""
        switches = {"enable_thinking": thinks, "thinking": thinks}
        try:
            text: str = self._tokenizer.apply_chat_template(
                list(messages),
                tokenize=False,
                add_generation_prompt=prompt,
                **{**switches, **self._arguments, "strftime_now": self._today},
            )
        except Unusable:
            raise
        except Exception as error:
            # Templates fail in as many ways as there are: by their own `raise_exception`, by a missing key.
            raise Unusable(f"{type(error).__name__}: {error}") from None
        return text

    def prompt(
        self, *, system: bool = False, thinks: bool = True, replace: Mapping[str, str] | None = None
    ) -> str:
        """A question, behind a system prompt or not, with texts of it replaced."""
        texts = [("system", SYSTEM)] * system + [("user", PROMPT)]
        messages = [message(role, (replace or {}).get(text, text)) for role, text in texts]
        return self.render(messages, prompt=True, thinks=thinks)

    def turn(self) -> Turn:
        """How an assistant's turn is written."""
        asked = message("user", PROMPT)
        plain = around(self.render([asked, message("assistant", ANSWER)]), PROMPT)[1]
        plain_head, tail = around(plain, ANSWER)
        for name in REASONING_FIELDS:
            try:
                whole = self.render([asked, message("assistant", ANSWER) | {name: THOUGHT}])
            except Unusable:
                continue
            if whole.count(THOUGHT) == whole.count(ANSWER) == 1 and whole.find(THOUGHT) < whole.find(ANSWER):
                head, rest = around(around(whole, PROMPT)[1], THOUGHT)
                between, tail = around(rest, ANSWER)
                return Turn(name, head, between, tail, plain_head)
        return Turn("", "", "", tail, plain_head)

    def next_turn(self) -> str:
        """What stands behind an answer, up to the next question."""
        texts = [message("user", PROMPT), message("assistant", ANSWER), message("user", SYSTEM)]
        return around(around(self.render(texts), ANSWER)[1], SYSTEM)[0]

    def _today(self, form: str) -> str:
        if self._date is None:
            raise Unusable(
                "it writes the current date, which has to stay the same in all prompts; give it, for example "
                "models.student.template: {date: 2026-01-01}"
            )
        return self._date.strftime(form)


def around(whole: str, text: str) -> tuple[str, str]:
    """What stands before and behind `text`, which must be there once."""
    if whole.count(text) != 1:
        what = {PROMPT: "user's", SYSTEM: "system", ANSWER: "assistant's", THOUGHT: "thinking"}[text]
        raise Unusable(
            f"it writes the {what} text {whole.count(text)} times for a message whose content is a text; "
            "templates that want content in parts, as those of image models do, are not supported"
        )
    before, _, behind = whole.partition(text)
    return before, behind
