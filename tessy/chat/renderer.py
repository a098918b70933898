"""A tokenizer together with its family's chat format.

Text written by a user or a model is always encoded as text: even if it spells out a marker, it becomes
ordinary tokens. Special tokens come only from formats.

Not covered: tools, images, several turns.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from tessy.chat.decoder import Decoder
from tessy.chat.formats import FORMATS, ChatFormat, EndReason, Field, Part
from tessy.chat.vocabulary import TextEncoder, is_byte_level, token_bytes
from tessy.errors import UserError

_FIELD = re.compile(r"{(\w+)}")


class Renderer:
    """Messages to ids and back, in a chat format or in that which `FORMATS` calls so.

    `settings` fills the fields of the format's opening: `reasoning_effort` and `date` of gpt_oss.
    """

    def __init__(
        self, tokenizer: Any, form: str | ChatFormat, settings: Mapping[str, str] | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.format = FORMATS[form] if isinstance(form, str) else form
        self._settings = dict(settings or {})
        self._text = TextEncoder(tokenizer)
        self._markers = self._marker_ids()
        self._splitter = re.compile(
            "(" + ("|".join(map(re.escape, sorted(self._markers, key=len, reverse=True))) or "(?!)") + ")"
        )
        self._ends: dict[Part, dict[int, EndReason]] = {
            part: {
                self._markers[marker]: reason for marker, reason in ends.items() if marker in self._markers
            }
            for part, ends in self.format.ends.items()
        }
        self.thinking_end_ids = tuple(self._ends["thinking"])
        self.answer_end_ids = tuple(self._ends["answer"])

    @cached_property
    def end_spellings(self) -> tuple[str, ...]:
        """The text that ends thinking, without white space, where no token of its own does."""
        closing = self.format.close_thinking
        return () if self._splitter.search(closing) else tuple(closing.split()[:1])

    def end_reason(self, part: Part, token_id: int) -> EndReason:
        """Why `part` ended with `token_id`, one of its end ids."""
        return self._ends[part][token_id]

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        """Ids of a user message, up to where the model starts to write; `system` goes before it."""
        template = self.format.system_user if system else self.format.user
        if not template:
            raise UserError(
                f"tokenizer {self.tokenizer.name_or_path}: its chat format has no system prompt; remove it "
                f"from the recipe, or put it into the problems' prompts: {system[:60]!r}"
            )
        fields = {"prompt": self._stripped("prompt", prompt), "system": self._stripped("system", system)}
        return self._render(template, {**self._settings, **fields}, first=True)

    def open_thinking_ids(self) -> list[int]:
        return self._render(self.format.open_thinking)

    def close_thinking_ids(self, thinking: str) -> list[int]:
        """Ids that close `thinking` and open the answer."""
        return self._render(self.close_thinking_text(thinking))

    def close_thinking_text(self, thinking: str) -> str:
        """The same as text, which is part of a response's own text."""
        markup = self.format.close_thinking
        return markup.removeprefix("\n") if thinking.endswith("\n") else markup

    def no_thinking_ids(self) -> list[int]:
        """Ids that open an answer without thinking, in the family's own way of switching it off."""
        return self._render(self.format.no_thinking)

    def close_answer_ids(self) -> list[int]:
        """The ids that end a finished answer, the last of which is one of `answer_end_ids`."""
        return self._render(self.format.close_answer)

    def response_ids(self, thinking: str, answer: str) -> list[int]:
        """Ids of a whole response as the family's template and tokenizer have it: text between two markers is
        encoded in one piece, with the line breaks that the template puts there."""
        form = self.format
        whole = f"{form.open_thinking}{{thinking}}{form.close_thinking}{{answer}}{form.close_answer}"
        return self._render(whole, {"thinking": thinking, "answer": answer})

    @property
    def markers(self) -> frozenset[str]:
        """The texts that are a token of their own in this format."""
        return frozenset(self._markers)

    def encode(self, text: str) -> list[int]:
        """Ids of text that continues other text; never special ones.

        Qwen normalises to NFC: what it decodes from these ids is the NFC of `text`.
        """
        return self._text.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, including special tokens."""
        if self._bytes_are_text:
            # As a batch of one: see TextEncoder.encode.
            (text,) = self.tokenizer.backend_tokenizer.decode_batch([list(ids)], skip_special_tokens=False)
            return str(text)
        # SentencePiece's own decoding drops a space that begins the text.
        return b"".join(self._token_bytes.get(token, b"") for token in ids).decode("utf-8", "replace")

    def decoder(self) -> Decoder:
        """A new decoder at the start of a text."""
        return Decoder(self._token_bytes)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text that each id adds. Ids that end inside a UTF-8 character add nothing until it is whole."""
        decoder = self.decoder()
        return [decoder.step(token) for token in ids]

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the vocabulary: words, merges, and how text is split. Chat templates and the choice
        of end tokens, in which a base model and its chat model differ, are left out."""
        spec = json.loads(self.tokenizer.backend_tokenizer.to_str())
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in spec["model"]["merges"]]
        parts = [self.tokenizer.get_vocab(), merges, spec["normalizer"], spec["pre_tokenizer"]]
        # Not `artifacts.fingerprint`: checking 300,000 words for unstable values takes seconds.
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    @cached_property
    def _token_bytes(self) -> dict[int, bytes]:
        return token_bytes(self.tokenizer)

    @cached_property
    def _bytes_are_text(self) -> bool:
        return is_byte_level(self.tokenizer)

    def _stripped(self, field: Field, text: str) -> str:
        side = self.format.strips.get(field)
        text = text.lstrip() if side in ("left", "both") else text
        return text.rstrip() if side in ("right", "both") else text

    def _render(
        self, template: str, fields: Mapping[str, str] | None = None, *, first: bool = False
    ) -> list[int]:
        """Ids of `template`. Text between two markers is encoded in one piece, as chat templates do, without
        the white space that a marker takes away. `first` says that nothing stands before it."""
        ids: list[int] = []
        known, parts = fields or {}, self._splitter.split(template)
        for number, part in enumerate(parts):
            if number % 2:
                ids.append(self._markers[part])
                continue
            text = _FIELD.sub(lambda field: known.get(field[1], field[0]), part)
            if number > 0 and self._takes_space[parts[number - 1]][1]:
                text = text.lstrip()
            if number + 1 < len(parts) and self._takes_space[parts[number + 1]][0]:
                text = text.rstrip()
            behind_text = number == 0 and not first
            ids += self._text.encode(text) if behind_text else self._text.encode_segment(text, first=not ids)
        return ids

    @cached_property
    def _takes_space(self) -> dict[str, tuple[bool, bool]]:
        """For each marker, whether the tokenizer drops white space before and behind it."""
        added = self.tokenizer.added_tokens_decoder
        flags = {marker: added.get(token) for marker, token in self._markers.items()}
        return {
            marker: (token.lstrip, token.rstrip) if token is not None else (False, False)
            for marker, token in flags.items()
        }

    def _marker_ids(self) -> dict[str, int]:
        """The format's markers that the vocabulary has, and their ids. One that only ends a part may be
        missing: then nothing can end with it."""
        vocabulary, texts = self.tokenizer.get_vocab(), "".join(self.format.templates)
        missing = sorted(m for m in self.format.markers if m not in vocabulary and m in texts)
        if missing:
            raise UserError(
                f"tokenizer {self.tokenizer.name_or_path}: no token {', '.join(missing)}, which the chosen "
                "chat format needs; set models.*.format to the model's own family, or to auto"
            )
        return {marker: vocabulary[marker] for marker in self.format.markers if marker in vocabulary}
