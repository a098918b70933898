"""Renderers: one model family's messages and thinking, as token ids.

A renderer owns everything that differs between families: how a prompt is laid out, how thinking
opens, which ids end it, how an answer opens and ends. Text that a user or a model wrote is always
encoded as text: if it spells out a special token, it still becomes ordinary tokens.

Not covered: tools, images, several turns. Training tokens are the ids that were synthesised, never
re-rendered text.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tessy.errors import UserError


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """Templates of a family; `<|...|>` and `<think>` markers in them are special tokens."""

    prompt: str
    open_thinking: str
    close_thinking: str
    thinking_ends: tuple[str, ...]
    answer_ends: tuple[str, ...]


FORMATS: dict[str, ChatFormat] = {
    # Qwen3's own template: the model itself writes <think>; a prefix that opens it is equivalent.
    "qwen3": ChatFormat(
        prompt="<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n",
        open_thinking="<think>\n",
        close_thinking="\n</think>\n\n",
        thinking_ends=("</think>", "<|im_end|>"),
        answer_ends=("<|im_end|>",),
    ),
    # gpt-oss: thinking is a message on the analysis channel, the answer one on the final channel.
    "harmony": ChatFormat(
        prompt="<|start|>user<|message|>{prompt}<|end|><|start|>assistant",
        open_thinking="<|channel|>analysis<|message|>",
        close_thinking="<|end|><|start|>assistant<|channel|>final<|message|>",
        thinking_ends=("<|end|>", "<|return|>", "<|start|>"),
        answer_ends=("<|return|>", "<|end|>"),
    ),
}


class Decoder:
    """Turns a growing list of ids into text, id by id.

    An id that ends inside a UTF-8 character adds nothing until the character is whole; bytes that can
    never become one add U+FFFD at once. At most three bytes are ever held back.
    """

    def __init__(self, token_bytes: Mapping[int, bytes]) -> None:
        self._bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def step(self, token_id: int) -> str:
        """The text `token_id` adds; "" for an id that the vocabulary does not use."""
        return self._utf8.decode(self._bytes.get(token_id, b""))


class Renderer:
    """A tokenizer together with its family's chat format."""

    def __init__(self, tokenizer: Any, format_name: str) -> None:
        self.tokenizer = tokenizer
        self.format = FORMATS[format_name]
        self.thinking_end_ids = self._special_ids(self.format.thinking_ends)
        self.answer_end_ids = self._special_ids(self.format.answer_ends)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Ids of a user message, up to where the model starts to write."""
        before, after = self.format.prompt.split("{prompt}")
        return [*self._markup_ids(before), *self.encode(prompt), *self._markup_ids(after)]

    def open_thinking_ids(self) -> list[int]:
        return self._markup_ids(self.format.open_thinking)

    def close_thinking_ids(self, thinking: str) -> list[int]:
        """Ids that close `thinking` and open the answer."""
        return self._markup_ids(_without_double_newline(thinking, self.format.close_thinking))

    def close_answer_ids(self) -> list[int]:
        """The id that ends a finished answer."""
        return self._markup_ids(self.format.answer_ends[0])

    def encode(self, text: str) -> list[int]:
        """Ids of text somebody wrote; never special ones."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens spelled out."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def decoder(self) -> Decoder:
        """A decoder that stands at the start of a text."""
        return Decoder(self._token_bytes)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text each id adds. Ids that end inside a UTF-8 character add nothing until it is whole."""
        decoder = self.decoder()
        return [decoder.step(token) for token in ids]

    @cached_property
    def _token_bytes(self) -> dict[int, bytes]:
        decoder = type(self.tokenizer.backend_tokenizer.decoder).__name__
        if decoder != "ByteLevel":
            raise UserError(
                f"tokenizer {self.tokenizer.name_or_path}: its decoder is {decoder}; "
                "only byte-level BPE is supported, which Qwen3, gpt-oss and DeepSeek-R1 use"
            )
        return {token_id: _bytes_of(token) for token, token_id in self.tokenizer.get_vocab().items()}

    def _markup_ids(self, markup: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(markup, add_special_tokens=False)
        return ids

    def _special_ids(self, markers: Sequence[str]) -> frozenset[int]:
        vocabulary = self.tokenizer.get_vocab()
        missing = [marker for marker in markers if marker not in vocabulary]
        if missing:
            raise UserError(
                f"tokenizer {self.tokenizer.name_or_path}: no token {', '.join(missing)}, which the chosen "
                "chat format needs; set models.*.format to the model's own family"
            )
        return frozenset(vocabulary[marker] for marker in markers)


def _byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's table).

    Printable Latin-1 characters stand for themselves, the other bytes for U+0100 onwards, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTE_ALPHABET = _byte_alphabet()


def _bytes_of(token: str) -> bytes:
    """What a token stands for. Added tokens are spelled as text, which other characters give away."""
    if all(character in _BYTE_ALPHABET for character in token):
        return bytes(_BYTE_ALPHABET[character] for character in token)
    return token.encode("utf-8")


def close_thinking_text(thinking: str) -> str:
    """How the canonical text of a response, which is the student's, closes `thinking`."""
    return _without_double_newline(thinking, FORMATS["qwen3"].close_thinking)


def _without_double_newline(thinking: str, markup: str) -> str:
    return markup.removeprefix("\n") if thinking.endswith("\n") else markup


def load_tokenizer(source: str, revision: str | None = None) -> Any:
    """The tokenizer of a checkpoint folder or hub id."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, revision=revision)
