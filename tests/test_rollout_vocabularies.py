"""Two models writing one text in the paper's vocabularies: both sides' ids stay the same text."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hostile_text import hostile_text
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import FAMILIES, renderer

from tessy.config.methods import METHODS
from tessy.records import Problem
from tessy.synthesis.cooperation import HandOver
from tessy.synthesis.rollouts import Assignment, Author, Compatibility, Rollout, Sample, View

PAIRS = [("qwen3", "gpt_oss"), ("qwen3", "deepseek_r1"), ("gpt_oss", "deepseek_r1")]


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Loading takes longer than hypothesis grants to one example."""
    for family in FAMILIES:
        renderer(family).pieces([0])


def rollout(student: str, teacher: str, hand_over: HandOver) -> Rollout:
    renderers = {"student": renderer(student), "teacher": renderer(teacher)}
    authors = {"student": Author(student, None), "teacher": Author(teacher, None)}  # type: ignore[arg-type]
    method, compat = METHODS["tessy"], Compatibility(hand_over=hand_over)
    assignment = Assignment("tessy", method, authors, renderers, "student", 100_000, 0, {}, compat=compat)  # type: ignore[arg-type]
    return Rollout(Sample("p#0", Problem("p", "Print it.")), assignment)


def read_by(view: View) -> str:
    """The thinking in one model's own ids."""
    start = view.prompt_tokens + len(view.renderer.open_thinking_ids())
    return normal(view.renderer.decode(view.read()[start:]))


def normal(text: str) -> str:
    """Qwen's vocabulary spells text in NFC, so that is how texts compare."""
    return unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(("student", "teacher"), PAIRS)
@pytest.mark.parametrize("hand_over", ["drop", "extend"])
@settings(max_examples=30)
@given(data=st.data())
def test_both_models_hold_the_text_that_was_accepted(
    student: str, teacher: str, hand_over: HandOver, data: st.DataObject
) -> None:
    writing = rollout(student, teacher, hand_over)
    for _ in range(data.draw(st.integers(1, 6))):
        chat = renderer(writing.author.model)
        random_ids = st.lists(st.integers(0, 100_000), max_size=6)
        ids = data.draw(hostile_text.map(chat.encode) | random_ids)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=3)))
        for start, end in itertools.pairwise([0, *cuts, len(ids)]):
            proposal = writing.proposal(ids[start:end], None, spent=False)
            if proposal is None:
                continue
            foreign_at = data.draw(st.none() | st.integers(0, max(0, proposal.settled - 1)))
            turn = writing.turn(proposal, [] if foreign_at is None else [(foreign_at, True)])
            writing.accept(turn)
            assert normal("".join(chat.pieces(turn.ids))) == normal(turn.text)
            if turn.ended_by == "boundary":
                break
    accepted = "".join(turn.text for turn in writing.turns)
    assert writing.thinking == accepted
    for view in writing._views.values():
        assert read_by(view) == normal(accepted)
