"""Diagnosis: which token is what, what surprises, what is wrong with a set; numbers beside others' code."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.boundary.labels import token_labels
from tessy.diagnosis.phrases import surprising
from tessy.diagnosis.prediction import Trained, over_seeds, predictions
from tessy.diagnosis.responses import Response, faults
from tessy.diagnosis.similarity import similarity
from tessy.diagnosis.summary import gaps, health
from tessy.diagnosis.tokens import ANSWER, CAPABILITY, KINDS, MARKUP, STYLE, Tokens, kinds_of
from tessy.statistics import rank_correlation, ratio, ratio_difference


def tokens(text: str, nll: float = 1.0, kinds: str | None = None) -> Tokens:
    """A response of one token per word; `kinds` has a letter for each."""
    pieces = [word + " " for word in text.split()]
    codes = {"s": STYLE, "c": CAPABILITY, "a": ANSWER, "m": MARKUP}
    marks = np.array([codes[letter] for letter in (kinds or "s" * len(pieces))], np.int8)
    return Tokens("x", pieces, np.full(len(pieces), nll), marks)


def response(thinking: str = "So.", answer: str = "42", **changes: object) -> Response:
    return Response("p#0", "p", "problem", thinking, answer, **changes)  # type: ignore[arg-type]


WORDS = st.lists(st.text("ab é\n.", min_size=1, max_size=4), min_size=1, max_size=12)


@given(WORDS, WORDS, st.data())
def test_every_token_gets_the_kind_of_the_text_that_it_begins_in(
    thinking: list[str], answer: list[str], data: st.DataObject
) -> None:
    thought = "".join(thinking)
    start = data.draw(st.integers(0, len(thought)))
    style = [(start, data.draw(st.integers(start, len(thought))))]
    pieces = ["<think>", *thinking, "</think>", *answer, "<|im_end|>"]
    found = kinds_of(pieces, thought, "".join(answer), style)
    assert found is not None
    inside = found[1 : 1 + len(thinking)]
    offsets = list(accumulate(map(len, thinking), initial=0))
    assert inside.tolist() == [CAPABILITY - label for label in token_labels(list(pairwise(offsets)), style)]
    assert set(found[2 + len(thinking) : -1].tolist()) == {ANSWER}
    assert found[0] == found[-1] == found[1 + len(thinking)] == MARKUP


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4),
)
def test_a_token_is_style_where_most_of_it_lies_in_style(
    sizes: list[int], spans: list[tuple[int, int]]
) -> None:
    bounds = list(accumulate(sizes, initial=0))
    offsets = list(pairwise(bounds))
    style = [(min(span), max(span)) for span in spans]
    expected = []
    for start, end in offsets:
        inside = sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in style)
        expected.append(int(2 * inside > end - start))
    assert token_labels(offsets, style) == expected


def test_tokens_of_another_text_have_no_kinds() -> None:
    assert kinds_of(["So", "."], "Hence.", "42", []) is None


def test_text_in_decomposed_form_is_found_in_its_composed_tokens() -> None:
    found = kinds_of(["caf\u00e9", " 42"], "cafe\u0301", "42", [(0, 5)])
    assert found is not None
    assert [KINDS[kind] for kind in found] == ["style", "markup"]


# Phrases ----------------------------------------------------------------------------------------------


def test_phrases_end_with_their_sentence_and_are_ordered_by_what_they_cost_in_all() -> None:
    found = [
        tokens("Thus we go. Then x=1 Thus we go.", 3.0, "ssssc" + "sss"),
        tokens("Hm so be it. Fine.", 2.0),
    ]
    own = [tokens("Fine. Fine.", 0.5)]
    first, *others = surprising(found, own, 0.5, 9)
    assert (first.text, first.times, first.nll, first.own) == ("Thus we go.", 2, 3.0, 0)
    assert first.excess == pytest.approx(2 * 3 * 2.5)
    assert [(one.text, one.own) for one in others] == [("Hm so be it.", 0), ("Then", 0), ("Fine.", 2)]


# Faults -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "found"),
    [
        (response(), []),
        (response(stop_reason="length"), ["length"]),
        (response(thinking=" "), ["no thinking"]),
        (response(answer=" \n"), ["no answer"]),
        (response(closed=False, answer=""), ["thinking never closed"]),
        (response(thinking="So <think> then"), ["markup inside the text"]),
        (response(answer="go on and on " * 30), ["repeats itself without end"]),
    ],
)
def test_faults_have_names(given_: Response, found: list[str]) -> None:
    assert faults(given_) == found


def test_health_counts_what_was_cut_off_and_what_repeats() -> None:
    cut, endless = response(stop_reason="length"), response(answer="go on and on " * 30)
    read = [tokens("So we go", kinds="ssc"), tokens("So we go", kinds="sca")]
    found = health([response(), cut, endless, response()], read, [5, 900], 800)
    assert (found.responses, found.cut_off, found.repetitive, found.too_long) == (4, 0.25, 0.25, 1)
    assert found.faults == {"length": 1, "repeats itself without end": 1}
    assert (found.style, found.mean_length, found.lengths[-1]) == (3 / 5, 3.0, 3)


# Numbers, beside other people's code -------------------------------------------------------------------


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=12))
def test_the_rank_correlation_is_scipys_and_lies_in_its_interval(pairs: list[tuple[int, int]]) -> None:
    from scipy import stats

    one, two = np.array(pairs, float).T
    found = rank_correlation(one, two)
    if np.ptp(one) and np.ptp(two):
        assert found.value == pytest.approx(float(stats.spearmanr(one, two).statistic))
    else:
        assert found.value == 0
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_a_ratio_weighs_by_size_and_its_interval_shrinks_with_more_units() -> None:
    few = np.array([[1.0, 1.0], [9.0, 3.0]])
    many = np.tile(few, (50, 1))
    assert ratio(few).value == ratio(many).value == 2.5
    assert ratio(many).high - ratio(many).low < ratio(few).high - ratio(few).low
    gap = ratio_difference(many, np.tile([[1.0, 1.0]], (50, 1)))
    assert gap.value == 1.5
    assert 0 < gap.low < 1.5 < gap.high


def test_similarity_is_the_mean_cosine_of_scikit_learns_vectors() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import cosine_similarity

    ours = {"a": ["Thus we go on."], "b": ["Hence it is due."]}
    theirs = {"a": ["Hmm, let me go on."], "b": ["Wait, let me think."], "c": ["Okay."]}
    found = similarity(ours, theirs)
    texts = [text for side in (ours, theirs) for several in side.values() for text in several]
    vectors = TfidfVectorizer(token_pattern=r"[^\W\d_]+|\d+|[^\w\s]", sublinear_tf=True).fit_transform(texts)
    cosines = cosine_similarity(vectors)
    assert found is not None
    assert found.same_prompt == pytest.approx((cosines[0, 2] + cosines[1, 3]) / 2)
    assert found.across == pytest.approx(cosines[:2, 2:].mean())
    assert found.within_set == pytest.approx(cosines[0, 1])
    assert found.within_own == pytest.approx(cosines[2:, 2:][~np.eye(3, dtype=bool)].mean())
    assert similarity({"a": [" "]}, {"a": [""]}) is None


def test_gaps_are_differences_by_part_and_only_where_both_sides_have_it() -> None:
    found = gaps(
        [tokens("So x=1 42", 3.0, "sca"), tokens("So So", 2.0, "ss")], [tokens("Hm Hm 42", 0.5, "ssa")]
    )
    assert set(found) == {"all", "thinking", "style", "answer"}
    style = found["style"]
    assert (style.found.tokens, style.own.tokens) == (3, 2)
    assert style.difference.value == pytest.approx((3 + 2 + 2) / 3 - 0.5)


# Prediction -------------------------------------------------------------------------------------------


def run(method: str, seed: int, gap: float, after: float) -> Trained:
    return Trained(method, "x", [seed], {"style": gap}, {"bench": 0.5}, {"bench": after, "other": 1.0})


def test_seeds_are_one_run_and_a_gap_that_orders_losses_correlates_with_minus_one() -> None:
    runs = [run(f"m{i}", seed, float(i), 0.9 - 0.1 * i + 0.01 * seed) for i in range(5) for seed in (0, 1)]
    merged = over_seeds(runs)
    assert [one.seeds for one in merged] == [[0, 1]] * 5
    assert merged[0].changes == {"bench": pytest.approx(0.405)}
    (found,) = predictions(merged)
    assert (found.gap, found.benchmark, found.runs) == ("style", "bench", 5)
    assert found.correlation.value == pytest.approx(-1)


def test_two_runs_say_nothing() -> None:
    assert predictions([run("a", 0, 0.0, 1.0), run("b", 0, 1.0, 0.0)]) == []
