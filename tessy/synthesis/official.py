"""What the authors' release does before and after a trace is written, for `synthesis.compat`.

Not covered: what it does while a trace is written (`tessy.synthesis.rollouts`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from tessy.chat import Renderer
from tessy.records import Problem, Trajectory
from tessy.synthesis.rollouts import Sample


def samples_by_prompt(problems: Iterable[Problem]) -> list[Sample]:
    """One sample per prompt, named by the prompt's hash: repeated problems are left out."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(hashlib.sha256(problem.prompt.encode()).hexdigest(), problem)
    return [Sample(digest, problem) for digest, problem in first.items()]


def counted_by_student(trajectory: Trajectory, student: Renderer) -> Trajectory:
    """The trajectory with the teacher's tokens counted in the student's vocabulary, span by span."""
    spans = [
        replace(span, tokens=len(student.encode(span.text))) if span.author == "teacher" else span
        for span in trajectory.spans
    ]
    return replace(trajectory, spans=spans)
