"""From thinking to labels: segments, the lexicon, labels per token, and what quality means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.labels import IGNORED, Annotation, token_labels, trace_labels, within
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.quality import compare, leaks
from tessy.boundary.segments import segments
from tessy.errors import UserError
from tessy.records import Span, Trajectory

THINKING = "Okay, let me see.\nx % 2 == 0\nHmm, and then.\ny * 3\nGood."


def test_segments_are_whole_words_where_they_say_they_are() -> None:
    found = segments([("s", "p", THINKING)], words=4, count=50, seed=0)
    assert len(found) > 3
    for segment in found:
        assert len(segment.text.split()) == 4
        assert THINKING[segment.start :].startswith(segment.text)


def test_segments_do_not_repeat_and_short_thinking_is_one() -> None:
    found = segments(
        [("a", "p", "one two"), ("b", "p", "one two"), ("c", "p", "  ")], words=9, count=50, seed=0
    )
    assert [segment.text for segment in found] == ["one two"]


@given(st.integers(0, 5))
def test_segments_depend_on_the_seed_alone(seed: int) -> None:
    thinkings = [(str(i), str(i), THINKING) for i in range(3)]
    assert segments(thinkings, 5, 10, seed) == segments(thinkings, 5, 10, seed)


def test_a_lexicon_marks_phrases_with_their_punctuation_and_the_space_before() -> None:
    lexicon = Lexicon(["Okay, *", "Hmm, and then", "Good"])
    marked = [THINKING[start:end] for start, end in lexicon.style_spans(THINKING)]
    assert marked == ["Okay, let me see.", "\nHmm, and then.", "\nGood."]


def test_a_phrase_inside_a_word_is_no_match() -> None:
    assert Lexicon(["Good"]).style_spans("Goodness, xGood") == []


def test_an_empty_lexicon_is_refused() -> None:
    with pytest.raises(UserError, match="no phrases"):
        Lexicon(["", "  "])


def test_spans_are_clipped_to_a_segment() -> None:
    assert within([(0, 5), (8, 12)], 3, 10) == [(0, 2), (5, 7)]


def test_a_token_is_style_if_most_of_it_is() -> None:
    assert token_labels([(0, 4), (4, 5), (5, 9)], [(0, 7)]) == [1, 1, 0]


OFFSETS = [(0, 4), (4, 5), (5, 9), (9, 12)]


def test_only_what_an_annotation_holds_whole_has_a_label() -> None:
    assert trace_labels(OFFSETS, [Annotation(4, 10, [(0, 1)])]) == [IGNORED, 1, 0, IGNORED]
    assert trace_labels(OFFSETS, []) == [IGNORED] * 4


def test_the_majority_of_annotations_decides() -> None:
    style, capability = Annotation(0, 12, [(0, 12)]), Annotation(0, 9, [])
    assert trace_labels(OFFSETS, [style, capability]) == [IGNORED, IGNORED, IGNORED, 1]
    assert trace_labels(OFFSETS, [style, capability, capability]) == [0, 0, 0, 1]


TRUTH = [(0, 17, "style"), (17, 28, "capability"), (28, len(THINKING), "style")]


def test_perfect_labels_score_one() -> None:
    labels = [(i, not 17 <= i < 28) for i in range(len(THINKING))]
    confusion = compare(THINKING, labels, TRUTH)
    assert (confusion.token_f1, confusion.boundary_f1) == (1.0, 1.0)


def test_a_boundary_one_word_late_is_no_hit() -> None:
    late = THINKING.index("%")
    labels = [(i, not late <= i < 28) for i in range(len(THINKING))]
    confusion = compare(THINKING, labels, TRUTH)
    assert confusion.token_f1 < 1
    assert confusion.boundary_f1 == pytest.approx(0.5)


def test_leaks_are_shares_of_what_each_author_wrote() -> None:
    spans = [
        Span("student", "style", "so x", 2, "boundary"),
        Span("teacher", "capability", " yz", 1, "boundary"),
    ]
    trajectory = Trajectory(
        "s", "p", "tessy", "", [], spans, [], 0, "finished", 0, 0, 0, {}, {}
    )  # fmt: skip
    truth = [(0, 2, "style"), (2, 6, "capability"), (6, 7, "style")]
    assert leaks([(trajectory, truth)]) == (0.5, pytest.approx(1 / 3))
