"""The compared methods, each as who writes which part of a response (paper, section on baselines).

A method is data: the scheduler reads it and needs no case of its own per method. Teacher-Mix,
Teacher-Reference and Teacher-Score combine or rank the responses written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tessy.records import Role


@dataclass(frozen=True, slots=True)
class Method:
    """`thinking` by one model or by `both` in cooperation (Algorithm 1); `answer` always by one."""

    title: str
    thinking: Role | Literal["both"]
    answer: Role

    @property
    def authors(self) -> frozenset[Role]:
        thinkers: tuple[Role, ...] = ("student", "teacher") if self.thinking == "both" else (self.thinking,)
        return frozenset((*thinkers, self.answer))


METHODS: dict[str, Method] = {
    "teacher_only": Method("Teacher-Only", thinking="teacher", answer="teacher"),
    "student_only": Method("Student-Only", thinking="student", answer="student"),
    "teacher_answer": Method("Teacher-Answer", thinking="student", answer="teacher"),
    "teacher_think": Method("Teacher-Think", thinking="teacher", answer="student"),
    "tessy": Method("TESSY", thinking="both", answer="student"),
}
