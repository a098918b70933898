"""The frozen records of an experiment, and their conversion to Parquet rows.

A record holds plain Python values only, so every stage's output can be read with
`datasets.load_dataset("parquet", ...)`, and nothing here imports torch.

Not covered: how a stage uses the records (see its module), and identity (`tessy.artifacts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_type_hints

Role = Literal["student", "teacher"]
ROLES: tuple[Role, Role] = ("student", "teacher")

SpanKind = Literal["style", "capability", "thinking", "markup", "answer"]
"""What a span holds: `style` and `capability` in a cooperative trace, `thinking` where one
author writes all of it, `markup` for the tokens that close the thinking part, `answer` after it."""

SpanEnd = Literal["boundary", "end_of_thinking", "end_of_answer", "length", "repetition", "stray", "template"]
"""What ended a span: a boundary predictor, the author's own end marker, a length cap, the repetition
guard, markup where none belongs (a tool call in an answer), or the chat template."""

StopReason = Literal["finished", "length", "repetitive", "empty", "refused", "stray", "failed"]
"""How a response ended. Only `finished` ones are trained on. `failed` is no outcome of the models: the
engines kept failing, and `Trajectory.failure` says how."""


def other(role: Role) -> Role:
    """The other role."""
    return "teacher" if role == "student" else "student"


@dataclass(frozen=True, slots=True)
class Problem:
    """One task to solve. `prompt` is the complete user message; `tags` are for breakdowns of results."""

    problem_id: str
    prompt: str
    language: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of accepted text by one author. `tokens` is counted by that author's tokenizer;
    `discarded` is the author's text after it that was rolled back."""

    author: Role
    kind: SpanKind
    text: str
    tokens: int
    ended_by: SpanEnd
    discarded: str = ""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One synthesised training sample (contract: one Parquet row).

    `student_token_ids` is the whole training sequence in the student's vocabulary, prompt
    included; the first `prompt_tokens` of it carry no loss. `rolled_back_tokens` and
    `generated_tokens` count both models' work in their own tokenizers. `tokenizer` is the fingerprint
    of the vocabulary that the ids are in (`tessy.chat.Renderer.fingerprint`).
    """

    sample_id: str
    problem_id: str
    method: str
    prompt: str
    messages: list[dict[str, str]]
    spans: list[Span]
    student_token_ids: list[int]
    prompt_tokens: int
    stop_reason: StopReason
    generated_tokens: int
    rolled_back_tokens: int
    seed: int
    sampler: dict[str, Any]
    models: dict[str, str]
    failure: str = ""
    tokenizer: str = ""

    @property
    def text(self) -> str:
        """Everything after the prompt, canonical UTF-8."""
        return "".join(span.text for span in self.spans)

    @property
    def tokens(self) -> int:
        """Length of the response in the student's vocabulary."""
        return len(self.student_token_ids) - self.prompt_tokens


@dataclass(frozen=True, slots=True)
class Response:
    """What a model under test answered to one benchmark problem in one sample.

    `response` is the text after the thinking: the part that a benchmark reads.
    """

    sample_id: str
    problem_id: str
    benchmark: str
    language: str
    thinking: str
    response: str
    tokens: int
    truncated: bool
    seed: int


R = TypeVar("R")


def to_row(record: Any) -> dict[str, Any]:
    """The record as nested plain values, in field order. Lists, such as those of ids, are not copied."""
    return {one.name: _plain(getattr(record, one.name)) for one in fields(record)}


def _plain(value: Any) -> Any:
    nested = isinstance(value, list) and bool(value) and is_dataclass(value[0])
    return [to_row(one) for one in value] if nested else value


def from_row(kind: type[R], row: Mapping[str, Any]) -> R:
    """Rebuild a record of type `kind` from a row; raises `KeyError` naming a missing column."""
    hints = get_type_hints(kind)
    values = {f.name: row[f.name] for f in fields(kind) if f.name in row}  # type: ignore[arg-type]
    if hints.get("spans") == list[Span]:
        values["spans"] = [Span(**span) for span in values["spans"]]
    for name in values.keys() & {"tags", "models"}:
        # In Parquet every row has the keys of all rows.
        values[name] = {key: value for key, value in (values[name] or {}).items() if value is not None}
    try:
        return kind(**values)
    except TypeError as error:
        raise KeyError(f"{kind.__name__}: {error}; columns present: {sorted(row)}") from error
