"""Tokenizers: loading, the text they encode, and the bytes that each id stands for.

Two kinds of BPE are read: byte-level (GPT-2's alphabet) and SentencePiece-style, where `▁` is a space and
bytes without a token of their own are spelled `<0x0A>`. Whatever else is refused, and so is a tokenizer that
loses text, before any model loads.

Not covered: Unigram and WordPiece vocabularies, tokenizers that are Python code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from tessy.chat.words import stable_words
from tessy.errors import UserError

SAMPLE = (
    "Okay, so  the sum of 3 and 14 is 17.\n\n\tfor i in range(10):\n        x = a[i]  # naïve, café\n\n\n"
    'print("x = {}".format(x)) <b> \\frac{1}{2} 中文漢字 Привет שלום नमस्ते 😀👩‍👩‍👧 ∑∞ \n  - end. '
)
"""Text of the kinds that traces hold. Every tokenizer has to give it back."""

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "▁"


def load_tokenizer(source: str, revision: str | None = None) -> Any:
    """The tokenizer of a checkpoint folder or hub id, as its tokenizer.json has it.

    transformers picks a class by name and builds some of them anew, from other rules than the file's:
    DeepSeek's distillations name Llama's class, and their spaces vanish. Raises `UserError` for a tokenizer
    that loses text or is of no kind known here.
    """
    from transformers import AutoTokenizer, TokenizersBackend
    from transformers.utils.hub import cached_file

    written = cached_file(
        source, "tokenizer.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    kind: Any = TokenizersBackend if written else AutoTokenizer
    tokenizer = kind.from_pretrained(source, revision=revision)
    require_text_survives(tokenizer)
    return tokenizer


def require_text_survives(tokenizer: Any) -> None:
    """Raise `UserError` unless text comes back from the ids of `tokenizer`, whole and word by word."""
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: it has no tokenizer.json and cannot be turned into one; "
            "save one with transformers' `save_pretrained`"
        )
    text = TextEncoder(tokenizer)
    ids = text.encode(SAMPLE)
    known = token_bytes(tokenizer, set(ids))
    back = b"".join(known[token] for token in ids).decode("utf-8", "replace")
    wanted = _normal(tokenizer, SAMPLE)
    if back != wanted:
        at = next((i for i, (a, b) in enumerate(zip(back, wanted, strict=False)) if a != b), len(back))
        there = slice(max(0, at - 8), at + 12)
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: text does not survive it: {wanted[there]!r} comes back as "
            f"{back[there]!r}; traces would be trained on other text than was written; check its "
            "tokenizer.json (normalizer, pre_tokenizer, decoder)"
        )
    if [token for word in stable_words(SAMPLE) for token in text.encode(word)] != ids:
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: it has tokens that hold the end of one word and the space "
            "before the next, so a trace cannot be handed over between words; use another model"
        )


def _normal(tokenizer: Any, text: str) -> str:
    """`text` in the Unicode form the tokenizer asks for: Qwen's is NFC."""
    import unicodedata

    forms = {str(step["type"]) for step in _steps(tokenizer.backend_tokenizer.normalizer, "normalizers")}
    form: Literal["NFC", "NFD"] | None = "NFC" if "NFC" in forms else "NFD" if "NFD" in forms else None
    return unicodedata.normalize(form, text) if form else text


def token_bytes(tokenizer: Any, only: Iterable[int] | None = None) -> dict[int, bytes]:
    """The bytes of each id of a transformers `tokenizer`, or of the ids in `only`; raises `UserError` for
    kinds of vocabulary that are not read here."""
    bytes_of = _spelling(tokenizer)
    if only is None:
        return {token_id: bytes_of(token) for token, token_id in tokenizer.get_vocab().items()}
    return {token_id: bytes_of(tokenizer.convert_ids_to_tokens(token_id)) for token_id in only}


def is_byte_level(tokenizer: Any) -> bool:
    """Whether its decoder is the byte-level one, in which every token is bytes in GPT-2's alphabet."""
    return any(
        step["type"] == "ByteLevel" for step in _steps(tokenizer.backend_tokenizer.decoder, "decoders")
    )


def _spelling(tokenizer: Any) -> Any:
    """The function from a token's spelling to its bytes."""
    model = type(tokenizer.backend_tokenizer.model).__name__
    steps = list(_steps(tokenizer.backend_tokenizer.decoder, "decoders"))
    kinds = [step["type"] for step in steps]
    if model != "BPE":
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: its model is {model}; only BPE is supported, byte-level "
            "or SentencePiece-style"
        )
    if "ByteLevel" in kinds:
        return _from_byte_alphabet
    spaces = "Metaspace" in kinds or any(
        step["type"] == "Replace" and step["pattern"] == {"String": _SPACE} and step["content"] == " "
        for step in steps
    )
    if not spaces:
        raise UserError(
            f"tokenizer {tokenizer.name_or_path}: its decoder is {', '.join(kinds) or 'missing'}; known are "
            "byte-level BPE and SentencePiece-style BPE, whose decoder makes spaces of ▁"
        )
    return _from_piece if "ByteFallback" in kinds else _from_plain_piece


def _from_piece(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else _from_plain_piece(token)


def _from_plain_piece(token: str) -> bytes:
    return token.replace(_SPACE, " ").encode("utf-8")


def _byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's table).

    Printable Latin-1 characters stand for themselves, the other bytes for U+0100 onwards, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTE_ALPHABET = _byte_alphabet()


def _from_byte_alphabet(token: str) -> bytes:
    """Added tokens are spelled as text: they are recognised by characters outside the byte alphabet."""
    try:
        return bytes([_BYTE_ALPHABET[character] for character in token])
    except KeyError:
        return token.encode("utf-8")


def continue_text(tokenizer: Any) -> None:
    """Have `tokenizer` read any text as the continuation of other text, without a space of its own before it,
    and what spells a special token as text."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    normalizer, pre_tokenizer = _state(backend.normalizer), _state(backend.pre_tokenizer)
    if (_unprefixed(normalizer), _unprefixed(pre_tokenizer)) != (normalizer, pre_tokenizer):
        backend.normalizer, backend.pre_tokenizer = _pipeline(
            _unprefixed(normalizer), _unprefixed(pre_tokenizer)
        )


class TextEncoder:
    """Text to ids, never those of markers, for a transformers `tokenizer`.

    The tokenizer's own option for that leaves in the added tokens that are not special, such as Qwen's
    `<think>` and DeepSeek's `<｜User｜>`. Added tokens of white space alone are text and stay (Gemma's).
    """

    def __init__(self, tokenizer: Any) -> None:
        backend = tokenizer.backend_tokenizer
        normalizer, pre_tokenizer = _state(backend.normalizer), _state(backend.pre_tokenizer)
        schemes = [*map(_prefix, _flat(normalizer, "normalizers"))]
        schemes += map(_prefix, _flat(pre_tokenizer, "pretokenizers"))
        self._prefixed = "always" if "always" in schemes else "first" if "first" in schemes else "never"
        self._as_it_is = _bare(backend, backend.normalizer, backend.pre_tokenizer)
        self._plain = self._as_it_is
        if self._prefixed != "never":
            self._plain = _bare(backend, *_pipeline(_unprefixed(normalizer), _unprefixed(pre_tokenizer)))

    def encode(self, text: str) -> list[int]:
        """Ids of text that continues other text."""
        # As a batch of one, because `encode` would hold Python's lock and with it all other threads.
        (found,) = self._plain.encode_batch_fast([text], add_special_tokens=False)
        ids: list[int] = found.ids
        return ids

    def encode_segment(self, text: str, *, first: bool) -> list[int]:
        """Ids of text between two markers, as the tokenizer itself has them in a whole conversation: some
        put a space before every such text, some before the `first` alone."""
        if self._prefixed == "always" or (self._prefixed == "first" and first):
            ids: list[int] = self._as_it_is.encode(text, add_special_tokens=False).ids if text else []
            return ids
        return self.encode(text)


def _bare(backend: Any, normalizer: Any, pre_tokenizer: Any) -> Any:
    """The tokenizer with no added tokens but those of white space."""
    from tokenizers import Tokenizer

    bare = Tokenizer(backend.model)
    bare.normalizer, bare.pre_tokenizer = normalizer, pre_tokenizer
    added = backend.get_added_tokens_decoder().values()
    blank = [token for token in added if not token.content.strip(_SPACE + " \t\r\n")]
    bare.add_tokens([token for token in blank if bare.token_to_id(token.content) is not None])
    return bare


def _pipeline(normalizer: Any, pre_tokenizer: Any) -> tuple[Any, Any]:
    """A normalizer and a pre-tokenizer from their JSON."""
    from tokenizers import Tokenizer

    model = {"type": "BPE", "vocab": {}, "merges": []}
    parts = {
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": None,
    }
    made = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model, **parts}))
    return made.normalizer, made.pre_tokenizer


def _state(part: Any) -> Any:
    """The JSON of a part of a tokenizer; None where it has none."""
    return None if part is None else json.loads(part.__getstate__())


def _flat(spec: Any, inner: str) -> Iterator[Mapping[str, Any]]:
    """The steps of a part: itself, or those of a sequence."""
    if spec is None:
        return
    if spec["type"] == "Sequence":
        for step in spec[inner]:
            yield from _flat(step, inner)
    else:
        yield spec


def _steps(part: Any, inner: str) -> Iterator[Mapping[str, Any]]:
    return _flat(_state(part), inner)


def _prefix(step: Mapping[str, Any]) -> str:
    """Whether a step puts a space before text: `always`, before the `first` text only, or `never`."""
    if step["type"] == "Prepend" or (step["type"] == "ByteLevel" and step.get("add_prefix_space")):
        return "always"
    return str(step["prepend_scheme"]) if step["type"] == "Metaspace" else "never"


def _unprefixed(spec: Any) -> Any:
    """The same without what puts a space before text."""
    if spec is None or spec["type"] == "Prepend":
        return None
    if spec["type"] == "Sequence":
        (inner,) = (key for key in spec if key != "type")
        return {**spec, inner: [step for one in spec[inner] if (step := _unprefixed(one)) is not None]}
    if spec["type"] == "ByteLevel":
        return {**spec, "add_prefix_space": False}
    return {**spec, "prepend_scheme": "never"} if spec["type"] == "Metaspace" else spec
