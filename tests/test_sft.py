"""SFT sees exactly the tokens that were synthesised, or does not start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tessy.errors import UserError
from tessy.records import Span, Trajectory

pytestmark = pytest.mark.slow


class WordTokenizer:
    """Ids are words; enough of a tokenizer to check a trajectory against."""

    words = ("ask", "<think>", "so", "x", "</think>", "code", "<end>")

    def __len__(self) -> int:
        return len(self.words)

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert not skip_special_tokens
        return " ".join(self.words[i] for i in ids)


GOOD = Trajectory(
    sample_id="p#0",
    problem_id="p",
    method="tessy",
    prompt="ask",
    messages=[],
    spans=[
        Span("student", "style", "so x </think>", 1, "boundary"),
        Span("student", "answer", " code", 1, "end_of_answer"),
    ],
    student_token_ids=[0, 1, 2, 3, 4, 5, 6],
    prompt_tokens=1,
    stop_reason="finished",
    generated_tokens=0,
    rolled_back_tokens=0,
    seed=0,
    sampler={},
    models={},
)


def test_the_prompt_carries_no_loss_and_everything_after_it_does() -> None:
    from train.sft import example

    assert example(GOOD) == {"input_ids": [0, 1, 2, 3, 4, 5, 6], "labels": [-100, 1, 2, 3, 4, 5, 6]}


def test_a_good_set_passes() -> None:
    from train.sft import check

    check([GOOD], WordTokenizer(), max_length=7)


@pytest.mark.parametrize(
    ("changes", "max_length", "said"),
    [
        ({"student_token_ids": [0, 1, 99]}, 7, "id 99 is outside the student's vocabulary of 7"),
        ({}, 6, "7 tokens, train.max_length is 6"),
        ({"prompt_tokens": 7}, 7, "nothing would be learned"),
        ({"prompt_tokens": 0}, 7, "nothing would be learned"),
        ({"student_token_ids": [0, 1, 2, 2, 4, 5, 6]}, 7, "another tokenizer"),
    ],
)
def test_a_set_that_would_train_on_something_else_is_refused(
    changes: dict, max_length: int, said: str
) -> None:
    from train.sft import check

    with pytest.raises(UserError, match="sample p#0") as error:
        check([replace(GOOD, **changes)], WordTokenizer(), max_length)
    assert said in str(error.value)


def test_an_empty_set_is_refused() -> None:
    from train.sft import check

    with pytest.raises(UserError, match="nothing to train on"):
        check([], WordTokenizer(), 7)
