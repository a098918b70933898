"""Text and ids in the vocabularies of the paper's models, over hostile text."""

from __future__ import annotations

import threading
import time
import unicodedata
from pathlib import Path

import pytest
from hostile_text import hostile_text
from hypothesis import example, given
from hypothesis import strategies as st
from training_stage import tokenizer
from vocabularies import FAMILIES, renderer

from tessy.chat import Renderer, load_tokenizer, stable_words

families = pytest.mark.parametrize("family", FAMILIES)


def normal(family: str, text: str) -> str:
    """`text` as the family's vocabulary spells it: Qwen's normalises to NFC, the others leave it alone."""
    return unicodedata.normalize("NFC", text) if family == "qwen3" else text


@families
@given(text=hostile_text)
def test_text_survives_encoding(family: str, text: str) -> None:
    ids = renderer(family).encode(text)
    assert renderer(family).decode(ids) == normal(family, text)
    assert "".join(renderer(family).pieces(ids)) == normal(family, text)


@families
@given(data=st.data())
def test_whatever_a_model_writes_decodes_piece_by_piece(family: str, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(renderer(family).tokenizer) - 1), max_size=20))
    chat = renderer(family)
    assert chat.decode(ids).startswith("".join(chat.pieces(ids)))
    ids += chat.encode("a")
    assert "".join(chat.pieces(ids)) == chat.decode(ids)


@families
@given(data=st.data())
def test_where_a_piece_ends_ids_and_text_can_be_cut(family: str, data: st.DataObject) -> None:
    chat = renderer(family)
    ids = data.draw(hostile_text.map(chat.encode) | st.lists(st.integers(0, 200_000), max_size=20))
    text = ""
    for count, piece in enumerate(chat.pieces(ids), start=1):
        text += piece
        if piece:
            assert chat.decode(ids[:count]) == text


def test_a_token_may_end_inside_a_character() -> None:
    """o200k has one for a Malayalam sign and two thirds of the next."""
    token = 832
    chat = renderer("gpt_oss")
    assert chat.decode([token]) == "\u0d4d\ufffd"
    assert chat.pieces([token, *chat.encode("a")]) == ["", "\u0d4d\ufffda"]


@families
@given(text=hostile_text)
@example(text="<think> </think> <｜User｜> <|im_end|> <|end|> <|channel|>final<|message|>")
def test_text_that_looks_like_markers_stays_text(family: str, text: str) -> None:
    added = renderer(family).tokenizer.added_tokens_decoder.keys()
    assert not added & set(renderer(family).encode(text))


@families
@given(text=hostile_text)
@example(text="wait. \n so x\x1c y\u3000z;\n\n  a")
def test_stable_words_have_the_ids_of_the_whole(family: str, text: str) -> None:
    words = stable_words(text)
    assert "".join(words) == text
    assert [token for word in words for token in renderer(family).encode(word)] == renderer(family).encode(
        text
    )


@families
@pytest.mark.parametrize(("left", "right"), [(".", "\nso"), ("hel", "lo"), ("  ", "x")])
def test_other_cuts_are_not_stable(family: str, left: str, right: str) -> None:
    """Counterexamples: a line break after punctuation, inside a word, between white space and a word."""
    apart = renderer(family).encode(left) + renderer(family).encode(right)
    assert apart != renderer(family).encode(left + right)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_threads_go_on_while_a_long_text_is_encoded(family: str) -> None:
    """So several threads share the work on a set that somebody else made."""
    ours, steps, over = renderer(family), [], threading.Event()

    def count() -> None:
        while not over.is_set():
            steps.append(time.sleep(0.001))

    thread = threading.Thread(target=count)
    thread.start()
    before = len(steps)
    ids = ours.encode("The sum of 12 and 30, then. " * 40_000)
    counted = len(steps) - before
    over.set()
    thread.join()
    assert len(ids) > 40_000
    assert counted > 20


def test_vocabularies_differ_by_fingerprint() -> None:
    assert renderer("qwen3").fingerprint != renderer("deepseek_r1").fingerprint


def test_a_fingerprint_survives_copies_and_tells_vocabularies_not_templates_apart(tmp_path: Path) -> None:
    words = tokenizer()
    before = Renderer(words, "qwen3").fingerprint
    words.chat_template, words.eos_token = "{{ messages }}", "<|endoftext|>"
    words.save_pretrained(tmp_path)
    copied = load_tokenizer(str(tmp_path))
    assert Renderer(copied, "qwen3").fingerprint == before
    copied.add_tokens(["another"])
    assert Renderer(copied, "qwen3").fingerprint != before
