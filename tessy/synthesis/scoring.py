"""Rejection sampling: the best of several responses to one problem (Teacher-Score), as pure rules.

Only finished responses are candidates. The highest score wins, of equal ones the first written. A response
without a score ranks below every one with a score.

Not covered: where scores come from (`tessy.stages.teacher_score`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from tessy.records import Trajectory

BEST_GRADE = 10
_OUT_OF = re.compile(r"(/|\bout of\b)\s*10\b", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:grade|score|rating)\b[^\w\n]*(?:is\b[^\w\n]*)?(\d+(?:\.\d+)?)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?")


def read_grade(answer: str) -> float | None:
    """The grade from 0 to 10 in `answer`: the last number called a grade, else the only number."""
    text = _OUT_OF.sub("", answer)
    named = _NAMED.findall(text)
    numbers = named[-1:] or _NUMBER.findall(text)
    if len(numbers) != 1 or float(numbers[0]) > BEST_GRADE:
        return None
    return float(numbers[0])


def best_of(candidates: Sequence[Trajectory], scores: Mapping[str, float | None]) -> Trajectory:
    """The candidate to keep, by `scores` per sample id; the first one if none is finished."""
    finished = [t for t in candidates if t.stop_reason == "finished"] or candidates[:1]

    def score(trajectory: Trajectory) -> float:
        found = scores.get(trajectory.sample_id)
        return -math.inf if found is None else found

    return max(finished, key=score)
