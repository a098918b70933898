"""Tokenizers of both kinds, loaded from folders as users do: text survives, or the tokenizer is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from chat_models import SMOLLM2, Kind, template, write_tokenizer
from hostile_text import hostile_text
from hypothesis import given

from tessy.chat import Renderer, load_tokenizer, stable_words
from tessy.chat.probing import find_format
from tessy.chat.thinking import Marks
from tessy.errors import UserError

MARKS = Marks("<think>\n", "\n</think>\n\n", "")
KINDS: tuple[Kind, ...] = get_args(Kind)
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Renderer]:
    def made(kind: Kind) -> Renderer:
        folder = tmp_path_factory.mktemp(kind)
        write_tokenizer(folder, SMOLLM2, ends=["<|im_end|>"], bos="<s>", kind=kind)
        tokenizer = load_tokenizer(str(folder))
        return Renderer(tokenizer, find_format(tokenizer, thinking=MARKS).format)

    return {kind: made(kind) for kind in KINDS}


@kinds
@given(text=hostile_text)
def test_text_survives(chats: dict[Kind, Renderer], kind: Kind, text: str) -> None:
    chat = chats[kind]
    # ▁ is how these vocabularies spell a space: they cannot tell the two apart.
    expected = text if kind == "bytes" else text.replace("▁", " ")
    ids = chat.encode(text)
    assert chat.decode(ids) == expected
    assert "".join(chat.pieces(ids)) == expected


@kinds
@given(text=hostile_text)
def test_words_have_the_ids_of_the_whole(chats: dict[Kind, Renderer], kind: Kind, text: str) -> None:
    chat = chats[kind]
    assert [token for word in stable_words(text) for token in chat.encode(word)] == chat.encode(text)


@kinds
def test_prompts_have_the_ids_that_users_get(chats: dict[Kind, Renderer], kind: Kind) -> None:
    """The space that some put before a text after a marker included, which a continuation must not get."""
    chat = chats[kind]
    for text in ("Print it.", " two  spaces ", "\n\nx", "中文", ""):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
        users: list[int] = chat.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        assert chat.prompt_ids(text, "Be brief.") == users
    assert chat.decode(chat.encode("so") + chat.encode("me")) == "some"


@kinds
def test_continued_text_has_the_ids_of_one_reading(chats: dict[Kind, Renderer], kind: Kind) -> None:
    chat = chats[kind]
    left, right = "Okay, so the sum", " of three and four"
    assert chat.encode(left) + chat.encode(right) == chat.encode(left + right)


def test_what_tokenizer_json_says_counts_not_the_class_it_names(tmp_path: Path) -> None:
    """DeepSeek's distillations are byte-level and name Llama's class, which transformers builds with
    SentencePiece's rules: their spaces vanish."""
    from transformers import AutoTokenizer

    text = "the sum of three and four"
    folder = write_tokenizer(
        tmp_path,
        template("deepseek_r1_distill"),
        ends=["<｜end▁of▁sentence｜>"],
        bos="<｜begin▁of▁sentence｜>",
        tokenizer_class="LlamaTokenizerFast",
        model_type="llama",
    )
    as_named = AutoTokenizer.from_pretrained(folder)
    assert as_named.decode(as_named.encode(text, add_special_tokens=False)) != text
    chat = Renderer(load_tokenizer(str(folder)), "deepseek_r1")
    assert chat.decode(chat.encode(text)) == text


def changed(folder: Path, **parts: Any) -> str:
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    spec["model"] |= parts.pop("model", {})
    path.write_text(json.dumps(spec | parts), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "parts", "reason"),
    [
        ("bytes", {"normalizer": {"type": "Lowercase"}}, r"does not survive it: 'Okay.* comes back as 'okay"),
        ("bytes", {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}}, "not survive"),
        ("bytes", {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}}, "its decoder is"),
        ("bytes", {"decoder": None}, "its decoder is missing"),
        ("pieces", {"pre_tokenizer": {"type": "Whitespace"}}, "not survive"),
    ],
)
def test_a_tokenizer_that_loses_text_is_refused(
    kind: Kind, parts: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path, SMOLLM2, ends=["<|im_end|>"], kind=kind)
    with pytest.raises(UserError, match=reason):
        load_tokenizer(changed(tmp_path, **parts))
