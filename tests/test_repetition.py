"""The repetition guard: what it catches, what it lets pass, and that arrival does not matter."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tessy.synthesis.repetition import LONGEST, SHORTEST, TIMES, WITHIN, RepetitionGuard


def repetitive(text: str) -> bool:
    return RepetitionGuard().read(text)


def run_of(words: int) -> str:
    return " ".join(f"w{number}x" for number in range(words)) + " "


def literally(text: str) -> bool:
    """The rule as it is stated, at every word of the text."""
    words = text.split()[: None if text[-1:].isspace() else -1]
    for end in range(len(words) + 1):
        for length in range(SHORTEST, LONGEST + 1):
            block = words[max(0, end - TIMES * length) : end]
            if len(block) == TIMES * length and block == block[:length] * TIMES:
                said = " ".join(block)
                if len(said) <= WITHIN and any(map(str.isalpha, said)):
                    return True
    return False


def test_the_eighth_time_is_one_too_many() -> None:
    run = "wait, let me check that. "
    assert not repetitive("Okay. " + run * 7 + "Done. ")
    assert repetitive("Okay. " + run * 8 + "Done. ")


def test_a_run_is_three_to_fifty_words() -> None:
    assert repetitive("so " * (3 * TIMES))
    assert not repetitive("so " * (3 * TIMES - 1))
    assert repetitive(" ".join("abcdefghijklmnopqrstuvwxyz"[i % 25] for i in range(25 * TIMES)) + " ")
    assert not repetitive(run_of(51) * 20)


def test_runs_must_stand_close_together() -> None:
    assert repetitive((run_of(2) + "x" * (WITHIN // TIMES - 9) + " ") * TIMES)
    assert not repetitive((run_of(2) + "x" * WITHIN + " ") * TIMES)


def test_arrays_and_rulers_are_no_repetition() -> None:
    assert not repetitive("0 1 0 " * 50)
    assert not repetitive("| - | " * 50)


def test_once_repetitive_always_repetitive() -> None:
    guard = RepetitionGuard()
    assert guard.read("so it goes " * TIMES)
    assert guard.read("and then it was over. ")


texts = st.lists(
    st.builds(lambda run, times: run * times, st.text("ab1 \n", max_size=12), st.integers(1, 10)), max_size=6
).map("".join)


@given(text=texts)
def test_it_says_what_the_rule_says(text: str) -> None:
    assert repetitive(text) == literally(text)


@given(text=texts, cuts=st.lists(st.integers(0, 400), max_size=20))
def test_chunks_do_not_matter(text: str, cuts: list[int]) -> None:
    guard, places = RepetitionGuard(), [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, end in pairwise(places):
        guard.read(text[start:end])
    assert guard.repetitive == repetitive(text)


def test_a_word_of_any_length_costs_no_more_than_its_characters() -> None:
    guard = RepetitionGuard()
    for _ in range(20_000):
        guard.read("漢字")
    assert len(guard._unfinished) <= WITHIN + 3
