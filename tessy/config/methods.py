"""The compared methods (paper, section on baselines).

A method is data. Most say which model writes which part of a response, so that the scheduler needs no case
per method. The others build their training set from responses of such methods, each in a stage of its own
(`tessy.stages.teacher_mix`, `reference`, `best`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tessy.records import ROLES, Role


@dataclass(frozen=True, slots=True)
class Method:
    """`thinking` is written by one model, by `both` in cooperation (Algorithm 1), or by none: then thinking
    is closed and empty, and a response begins with its answer. `answer` is always written by one model."""

    title: str
    thinking: Role | Literal["both"] | None
    answer: Role

    @property
    def thinks(self) -> bool:
        return self.thinking is not None

    @property
    def cooperative(self) -> bool:
        return self.thinking == "both"

    @property
    def authors(self) -> frozenset[Role]:
        thinkers = ROLES if self.thinking == "both" else (self.thinking or self.answer,)
        return frozenset((*thinkers, self.answer))


METHODS: dict[str, Method] = {
    "teacher_only": Method("Teacher-Only", thinking="teacher", answer="teacher"),
    "student_only": Method("Student-Only", thinking="student", answer="student"),
    "teacher_answer": Method("Teacher-Answer", thinking="student", answer="teacher"),
    "teacher_think": Method("Teacher-Think", thinking="teacher", answer="student"),
    "tessy": Method("TESSY", thinking="both", answer="student"),
    "tessy_teacher_answer": Method("TESSY, teacher answers", thinking="both", answer="teacher"),
}
"""Methods by who writes what. The last is the paper's ablation."""

DERIVED: dict[str, str] = {
    "teacher_mix": "Teacher-Mix",
    "teacher_reference": "Teacher-Reference",
    "teacher_score": "Teacher-Score",
}
"""Titles of the methods whose sets are made of such responses: half of them the teacher's; the student's,
who was shown the teacher's answer; the best of several by the student, in the teacher's judgement."""

TITLES: dict[str, str] = {**{name: method.title for name, method in METHODS.items()}, **DERIVED}


def cooperative(name: str) -> bool:
    """Whether both models write the thinking in the method called `name`."""
    return name in METHODS and METHODS[name].cooperative
