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

from tessy.chat.decoder import Decoder, token_bytes
from tessy.chat.formats import FORMATS, EndReason, Part
from tessy.errors import UserError

_MARKER = re.compile(r"(<\|\w+\|>|<｜[\w▁]+｜>|</?think>)")
_FIELD = re.compile(r"{(\w+)}")


class Renderer:
    """Messages to ids and back, in the format called `format_name`.

    `settings` fills the fields of the format's opening: `reasoning_effort` and `date` of gpt_oss.
    """

    def __init__(self, tokenizer: Any, format_name: str, settings: Mapping[str, str] | None = None) -> None:
        self.tokenizer = tokenizer
        self.format = FORMATS[format_name]
        self._settings = dict(settings or {})
        self._text = _text_only(tokenizer.backend_tokenizer)
        self._markers = self._marker_ids()
        self._ends: dict[Part, dict[int, EndReason]] = {
            part: {self._markers[marker]: reason for marker, reason in ends.items()}
            for part, ends in self.format.ends.items()
        }
        self.thinking_end_ids = tuple(self._ends["thinking"])
        self.answer_end_ids = tuple(self._ends["answer"])

    def end_reason(self, part: Part, token_id: int) -> EndReason:
        """Why `part` ended with `token_id`, one of its end ids."""
        return self._ends[part][token_id]

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        """Ids of a user message, up to where the model starts to write; `system` goes before it."""
        template = self.format.opening + (self.format.system if system else "") + self.format.user
        return self._render(template, {**self._settings, "prompt": prompt, "system": system})

    def open_thinking_ids(self) -> list[int]:
        return self._render(self.format.open_thinking)

    def close_thinking_ids(self, thinking: str) -> list[int]:
        """Ids that close `thinking` and open the answer."""
        return self._render(_without_double_newline(thinking, self.format.close_thinking))

    def no_thinking_ids(self) -> list[int]:
        """Ids that open an answer without thinking, in the family's own way of switching it off."""
        return self._render(self.format.no_thinking)

    def close_answer_ids(self) -> list[int]:
        """The id that ends a finished answer."""
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
        """Ids of text; never special ones.

        Qwen normalises to NFC: what it decodes from these ids is the NFC of `text`.
        """
        ids: list[int] = self._text.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, including special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

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

    def _render(self, template: str, fields: Mapping[str, str] | None = None) -> list[int]:
        """Ids of `template`. Text between two markers is encoded in one piece, as chat templates do."""
        ids: list[int] = []
        for number, part in enumerate(_MARKER.split(template)):
            if number % 2:
                ids.append(self._markers[part])
            else:
                ids += self.encode(_FIELD.sub(lambda field: (fields or {})[field[1]], part))
        return ids

    def _marker_ids(self) -> dict[str, int]:
        """Every marker of the format and its id."""
        form, vocabulary = self.format, self.tokenizer.get_vocab()
        templates = form.opening + form.system + form.user
        templates += form.open_thinking + form.close_thinking + form.no_thinking + form.close_answer
        markers = {*_MARKER.findall(templates), *form.ends["thinking"], *form.ends["answer"]}
        missing = sorted(markers - vocabulary.keys())
        if missing:
            raise UserError(
                f"tokenizer {self.tokenizer.name_or_path}: no token {', '.join(missing)}, which the chosen "
                "chat format needs; set models.*.format to the model's own family"
            )
        return {marker: vocabulary[marker] for marker in markers}


def _text_only(tokenizer: Any) -> Any:
    """`tokenizer` without its added tokens.

    The tokenizer's own option leaves in those that are not special, such as Qwen's `<think>` and
    DeepSeek's `<｜User｜>`.
    """
    from tokenizers import Tokenizer

    bare = Tokenizer(tokenizer.model)
    bare.normalizer = tokenizer.normalizer
    bare.pre_tokenizer = tokenizer.pre_tokenizer
    return bare


def close_thinking_text(thinking: str) -> str:
    """The text that closes `thinking` in the canonical text of a response (the student's format)."""
    return _without_double_newline(thinking, FORMATS["qwen3"].close_thinking)


def _without_double_newline(thinking: str, markup: str) -> str:
    return markup.removeprefix("\n") if thinking.endswith("\n") else markup


def load_tokenizer(source: str, revision: str | None = None) -> Any:
    """The tokenizer of a checkpoint folder or hub id."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, revision=revision)
