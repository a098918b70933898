"""Outcomes: how a response ended, if no engine failed.

Not covered: whether the answer is right (`eval.judge`), and engine failures.
"""

from __future__ import annotations

import re

from tessy.records import StopReason
from tessy.synthesis.cooperation import TurnEnd

_REFUSAL = re.compile(
    r"((i'm |i am |we're |we are )?(very |really |so )?sorry,? (but )?)?"
    r"(i|we) (can't|cannot|can not|won't|will not|am unable to|are unable to|'m unable to|am not able to) "
    r"(help|assist|comply|continue|do that|fulfill|provide)\b[^.!?\n]{0,100}[.!]?"
)


def stop_reason(thinking: str | None, answer: str, *, ended_by: TurnEnd, fits: bool) -> StopReason:
    """The outcome of a response whose last turn ended by `ended_by`. `fits` says whether it is within the
    length cap; `thinking` is None for methods without thinking."""
    if ended_by == "repetition":
        return "repetitive"
    if ended_by == "stray":
        return "stray"
    if ended_by != "end" or not fits:
        return "length"
    if not answer.strip() or (thinking is not None and not thinking.strip()):
        return "empty"
    return "refused" if refused(answer) else "finished"


def refused(answer: str) -> bool:
    """Whether the whole answer is one English sentence that declines to help.

    Deliberately narrow: an answer that says anything else counts as an answer, and so do refusals in other
    words or languages.
    """
    said = " ".join(answer.replace("\u2019", "'").lower().split())
    return _REFUSAL.fullmatch(said) is not None
