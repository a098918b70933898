"""How responses end."""

from __future__ import annotations

import pytest

from tessy.records import StopReason
from tessy.synthesis.cooperation import TurnEnd
from tessy.synthesis.outcomes import refused, stop_reason


@pytest.mark.parametrize(
    ("thinking", "answer", "ended_by", "fits", "reason"),
    [
        ("Okay.", "print(1)", "end", True, "finished"),
        ("Okay.", "print(1)", "end", False, "length"),
        ("Okay.", "", "length", True, "length"),
        ("Okay. Okay.", "", "repetition", True, "repetitive"),
        (" \n", "print(1)", "end", True, "empty"),
        ("Okay.", "\n\n", "end", True, "empty"),
        (None, "[]", "end", True, "finished"),
        (None, " ", "end", True, "empty"),
        ("Not allowed.", "I'm sorry, but I can't help with that.", "end", True, "refused"),
    ],
)
def test_every_outcome_has_a_name(
    thinking: str | None, answer: str, ended_by: TurnEnd, fits: bool, reason: StopReason
) -> None:
    assert stop_reason(thinking, answer, ended_by=ended_by, fits=fits) == reason


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.\n",
        "Sorry, but I can't continue.",
        "I cannot provide instructions for this.",
        "We are unable to comply with this request!",
    ],
)
def test_refusals(answer: str) -> None:
    assert refused(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot find a faster way, so this runs in O(n log n).\n\n```python\nprint(1)\n```",
        "I'm sorry for the long proof. The answer is 7.",
        "I can't help noticing that n is even. So the answer is 4.",
        "print('I cannot help with that.')",
        "The assistant cannot help. Answer: 3",
    ],
)
def test_answers(answer: str) -> None:
    assert not refused(answer)
