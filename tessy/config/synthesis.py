"""The recipe's section `synthesis`: which methods write training responses, and how.

Not covered: what the methods are (`methods`); what runs the models (`execution`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tessy.config.base import Generation, Positive, Sampler, Section
from tessy.config.given import GivenMethod, GivenTraces, Method
from tessy.config.methods import TITLES
from tessy.config.shipped import prompt_file
from tessy.config.switches import Switch, TrainedSwitch
from tessy.errors import nearest
from tessy.records import Role


class ChunkTokens(Section):
    """k of Algorithm 1, for each author."""

    student: Positive
    teacher: Positive

    def of(self, role: Role) -> int:
        return self.student if role == "student" else self.teacher


def _for_both(tokens: Any) -> Any:
    """One number is both authors'."""
    return {"student": tokens, "teacher": tokens} if isinstance(tokens, int) else tokens


class Compatibility(Section):
    """Where the authors' release differs from the paper, a switch for each; the defaults are the paper's.
    They are about methods in which both models write the thinking, which is all the release has.
    `tessy/synthesis/README.md` goes through all of its behaviour."""

    hand_over: Literal["drop", "extend"] = "drop"
    """The word a boundary falls into is dropped (paper), or kept to its end (release)."""
    first_token: bool = True
    """Whether the first token of a chunk can be a boundary. Where it cannot (release), chunks are taken as
    they are, words cut in two included."""
    end_spellings: tuple[str, ...] = ()
    """Text that ends thinking as an end token does (release: `</think>`, `assistantfinal`)."""
    window: Literal["fixed", "sliding"] = "fixed"
    """Predictors see windows that start at fixed places, or always the last tokens (release)."""
    prompt_newline: bool = True
    """Whether Qwen's prompt has the line break behind `<|im_end|>`, as its template has. The student is
    trained on the template's prompt even where it wrote behind another (release: without)."""
    samples: Literal["rows", "prompts"] = "rows"
    """Every row of the problems is a sample of its own, or every prompt is one, named by its hash, and the
    rows that ask for it again are left out (release)."""
    teacher_tokens: Literal["own", "student"] = "own"
    """Whose tokenizer counts the teacher's tokens: its own, or the student's (release)."""

    @property
    def chunks_do_not_matter(self) -> bool:
        """Whether the accepted text is independent of how it is cut into chunks."""
        paper = self.hand_over == "drop" and self.first_token and self.window == "fixed"
        return paper and not self.end_spellings


OFFICIAL = Compatibility(
    hand_over="extend",
    first_token=False,
    end_spellings=("</think>", "assistantfinal"),
    window="sliding",
    prompt_newline=False,
    samples="prompts",
    teacher_tokens="student",
)


class TeacherReference(Section):
    """How the student is shown the teacher's answer (method `teacher_reference`)."""

    prompt: str = "reference_1"
    """`reference_1`, or a text file that holds `{problem}` and `{reference}`."""

    @property
    def file(self) -> Path:
        return prompt_file(self.prompt)


class GradeScorer(Section):
    """The teacher is asked for a number from 0 to 10."""

    kind: Literal["grade"]
    prompt: str = "grade_1"
    """`grade_1`, or a text file that holds `{problem}` and `{response}`."""
    sampler: Sampler
    max_tokens: Positive
    """Longest answer, thinking included."""

    @property
    def file(self) -> Path:
        return prompt_file(self.prompt)


class LikelihoodScorer(Section):
    """The mean log-probability the teacher gives to the response: for models that cannot grade."""

    kind: Literal["likelihood"]


class TeacherScore(Section):
    """Rejection sampling (method `teacher_score`)."""

    candidates: Annotated[int, Field(ge=2)] = 5
    """Responses the student writes for each problem (paper: 5)."""
    scorer: Annotated[GradeScorer | LikelihoodScorer, Field(discriminator="kind")]
    """How the teacher scores them; of equal scores the first written is kept."""


class ChunkedGeneration(Generation):
    """How responses are written by two models that take turns."""

    chunk_tokens: Annotated[ChunkTokens, BeforeValidator(_for_both)]
    """k of Algorithm 1: tokens written before the boundary predictor is asked. One number, or one for each
    author (paper: 20; release: 5 for the student, 10 for the teacher)."""


class _Turns(Section):
    """What decides where authors change."""

    compat: Compatibility = Compatibility()
    """`official` switches everything here to the release's behaviour."""
    switch: Switch = TrainedSwitch(kind="trained")
    """What decides where authors hand over, in methods in which both write the thinking."""

    @field_validator("compat", mode="before")
    @classmethod
    def _official_by_name(cls, value: Any) -> Any:
        return OFFICIAL if value == "official" else value


class Cooperation(_Turns, Generation):
    """How a stage's responses are written, by one model or by two that take turns."""

    chunk_tokens: ChunkTokens | None = None
    """k of Algorithm 1; None where one model writes the thinking."""


class Synthesis(_Turns, ChunkedGeneration):
    """How training responses are written."""

    methods: Annotated[list[Method], Field(min_length=1)]
    """Compared methods: names (`tessy.config.methods`), and sets of traces that exist already (`given`)."""
    teacher_reference: TeacherReference = TeacherReference()
    teacher_score: TeacherScore | None = None
    """Required by the method `teacher_score`."""

    @property
    def titles(self) -> dict[str, str]:
        """Every method's title by its name, in order."""
        return {
            one if isinstance(one, str) else one.name: TITLES[one] if isinstance(one, str) else one.title
            for one in self.methods
        }

    @property
    def given(self) -> dict[str, GivenTraces]:
        """The given sets by name."""
        return {one.name: one.given for one in self.methods if isinstance(one, GivenMethod)}

    @property
    def written(self) -> list[str]:
        """The methods whose responses are written by the recipe's models."""
        return [one for one in self.methods if isinstance(one, str)]

    @model_validator(mode="after")
    def _methods_exist_once(self) -> Self:
        for method in self.written:
            if method not in TITLES:
                raise ValueError(
                    f"unknown method {method!r}{nearest(method, TITLES)}; methods: {', '.join(TITLES)}"
                )
        if "teacher_score" in self.written and self.teacher_score is None:
            raise ValueError("section `teacher_score` is missing, and its method needs it; add it")
        taken = [name for name in self.given if name in TITLES]
        if taken:
            raise ValueError(f"given.name {taken[0]!r} is that of a method of ours; choose another")
        if len(set(self.titles.values())) != len(self.methods):
            names = [one if isinstance(one, str) else one.name for one in self.methods]
            raise ValueError(f"methods {names} names one twice; name each once, with a title of its own")
        return self
