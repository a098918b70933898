"""Normalised text, shingles and repairs hold for any text."""

from __future__ import annotations

import html
import unicodedata

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from tessy.config.curation import Duplicates
from tessy.curation_rules.characters import repair
from tessy.curation_rules.language import language
from tessy.curation_rules.signatures import Signatures
from tessy.curation_rules.text import digest, masked, normalise, runs, shingles
from tests.hostile_text import hostile_text

MARKUP = (
    *("<p>", "</b>", "<sup>9</sup>", "<!--", "-->", "<img src=x>", "&le;", "&amp;lt;", "&#55296;", "&nbsp;"),
    *("\\le ", "\\frac{1}{2}", "\\begin{cases}", "\\alpha", "\\unknown", "10\\,000", "1,000,000", "1{,}000"),
    *("10⁹", "x₁", "½", "ﬁ", "ǆ", "İ", "ß", "ΐ", "\u0345", "\u0e33", "が", "か\u3099", "ｶﾞ", "\ud800", "´"),
    *("[a](b)", "![a](b)", "`n`", "$n$", "**", "…", "≤", "\u00ad", "\ufe0f"),
)
texts = st.lists(st.sampled_from(MARKUP) | hostile_text, max_size=8).map("".join)


@given(texts)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())
    assert unicodedata.normalize("NFKC", once.casefold()) == once
    once.encode()


@pytest.mark.parametrize(
    "forms",
    [
        ("10<sup>9</sup>", "$10^{9}$", "10⁹", "10^9", "10**9", "\\(10^9\\)"),
        ("1 ≤ n ≤ 1,000,000", "$1 \\le n \\leq 1{,}000{,}000$", "1 &le; n &le; 1000000", "`1<=n<=1000000`"),
        ("**Find** the [sum](a.b) of $\\mu$", "<b>Find</b> the sum of μ", "\\textbf{Find} the sum of μ"),
        ("naïve ﬁle “x”", "nai\u0308ve FILE 'x'", "na\u00adïve file x\u200b"),
        ("给定 n 个整数", "给定n个整数。"),
    ],
)  # fmt: skip
def test_format_makes_no_difference(forms: tuple[str, ...]) -> None:
    assert len({normalise(form) for form in forms}) == 1


def test_what_is_no_markup_stays() -> None:
    assert normalise("if a <b and c> d, then a\\nb") == "if a b and c d then a nb"
    assert normalise("\U0001f600 ≤ ∑ \ud800 \u202e") == ""


def test_masked_text_is_the_wording() -> None:
    one = normalise("Given n numbers a_1, ..., a_n (1 ≤ n ≤ 10^5), find the k-th smallest.")
    other = normalise("Given m numbers x_3, ..., x_m (2 ≤ m ≤ 10^9), find the q-th smallest.")
    assert masked(one) == masked(other) == "given 0 numbers 0 find the 0 th smallest"


words = st.lists(st.sampled_from(("a", "bb", "ccc", "é", "给", "a1", "b" * 70)), min_size=1, max_size=40)


@given(words, st.integers(1, 9))
def test_shingles_are_equal_exactly_where_the_words_are(text: list[str], length: int) -> None:
    length = min(length, len(text))
    there = [tuple(text[i : i + length]) for i in range(len(text) - length + 1)]
    hashes = runs(" ".join(text), length).tolist()
    assert len(hashes) == len(there)
    assert len(set(zip(there, hashes, strict=True))) == len(set(there)) == len(set(hashes))
    assert shingles(" ".join(text), length).tolist() == sorted(set(hashes))
    # A run has the hash that it has as a text of its own.
    assert shingles(" ".join(there[-1]), length).tolist() == [hashes[-1]]


def test_short_and_empty_texts_have_one_shingle_and_none() -> None:
    assert len(shingles("only two", 5)) == 1
    assert shingles("", 5).size == 0
    assert len(digest("")) == 16


def test_long_texts_are_hashed_in_blocks_as_in_one_piece() -> None:
    text = " ".join(str(number) for number in range(40_000))
    hashes = runs(text, 8)
    assert len(np.unique(hashes)) == len(hashes) == 40_000 - 7
    for first in (0, 16_380, 16_384, 39_992):
        assert runs(" ".join(text.split()[first : first + 8]), 8)[0] == hashes[first]


@given(hostile_text)
def test_signatures_are_those_of_datasketch(text: str) -> None:
    normal = normalise(text)
    theirs = MinHash(128, hashfunc=int)
    theirs.update_batch([int(one) >> 32 for one in shingles(normal, 3)])
    assert Signatures(Duplicates(ngram_words=3)).of(normal).tolist() == theirs.hashvalues.tolist()


# Repairs ------------------------------------------------------------------------------------------


@given(texts | st.text().map(lambda text: text.encode().decode("cp1252", "replace")))
def test_repairing_twice_changes_nothing(text: str) -> None:
    once, _ = repair(text)
    assert repair(once) == (once, ())
    once.encode()


@given(
    st.lists(
        st.sampled_from(
            ("1", "plain", "café", "Â", "x²", "a×b", "“no”", "n’t", "≤", "😀", "Привет,", "λόγος")
        )
    )
)
def test_what_was_read_with_the_wrong_encoding_is_read_back(words: list[str]) -> None:
    text = " ".join(words)
    misread = "".join(
        character if character.isascii() else "".join(_windows(byte) for byte in character.encode())
        for character in text
    )
    assert repair(misread)[0] == text


def _windows(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


def test_each_repair_is_named() -> None:
    text = "\ufeffa\r\nb\rc\u2028d\x00e\ud800 cafÃ© e\u0301 \u202eabc\u202c"
    assert repair(text) == (
        "a\nb\nc\nde\ufffd café é abc",
        ("composition", "controls", "line_ends", "mojibake", "surrogates"),
    )
    for right in ("naïve café", "CAFÉ»", "SÃO PAULO", "À « », Ð", html.unescape("&Acirc;ge")):
        assert repair(right) == (right, ())


# Language -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("Given an array of n integers, find the number of pairs with equal values.", "en"),
        ("Evaluate $\\int_0^1 x^2\\,dx$ by parts and simplify your result completely.", "en"),
        ("Дан массив из n целых чисел. Найдите количество пар равных элементов.", "ru"),
        ("给定一个长度为 n 的整数数组，求相等元素对的数量，并输出答案对质数取模的结果。", "zh"),
        ("Se da un arreglo de enteros. Encuentre la cantidad de pares de elementos iguales.", "es"),
        ("Gegeben ist eine Liste ganzer Zahlen. Bestimme die Anzahl der Paare gleicher Zahlen.", "de"),
    ],
)
def test_language(prompt: str, code: str) -> None:
    found = language(prompt)
    assert found is not None
    assert found[0] == code
    assert found[1] > 0.9


@pytest.mark.parametrize("prompt", ["", "$x^2 + 1 = 0$", "n m k", "\U0001f600" * 50])
def test_too_little_text_has_no_language(prompt: str) -> None:
    assert language(prompt) is None
