"""Whether prompts leave room for the longest response, in what each model reads at once and in training.

Not covered: prompts that a method makes of a problem and something else (Teacher-Reference).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tessy.chat import Renderer
from tessy.generation.models import ROOM_FOR_MARKUP, NamedModel, renderer_of
from tessy.records import Problem, Role
from tessy.runtime.job import Job, Source
from tessy.runtime.stage import StageConfig
from tessy.sources import Unfit

TOO_LONG: dict[Role, str] = {
    "student": "prompt too long for the student",
    "teacher": "prompt too long for the teacher",
}
"""The rules that `require` states."""


@dataclass(frozen=True, slots=True)
class Room:
    """How long a prompt may be in a model's ids behind the system prompt `system`, and what follows from
    which settings."""

    renderer: Renderer
    tokens: int
    because: str
    system: str = ""


@dataclass(frozen=True, slots=True)
class Fitting:
    """The room of each model, and the lengths that were found."""

    rooms: Mapping[Role, Room]
    lengths: dict[Role, list[int]] = field(default_factory=dict)

    def require(self, problem: Problem) -> None:
        """Raise `Unfit` where the prompt is too long for a model."""
        found = [(role, room, self._length(role, room, problem)) for role, room in self.rooms.items()]
        for role, room, tokens in found:
            if tokens > room.tokens:
                raise Unfit(TOO_LONG[role], f"{tokens} tokens, {room.tokens} fit: {room.because}")

    def _length(self, role: Role, room: Room, problem: Problem) -> int:
        tokens = len(room.renderer.prompt_ids(problem.prompt, room.system))
        self.lengths.setdefault(role, []).append(tokens)
        return tokens

    def values(self) -> dict[str, dict[str, int]]:
        """By role, how long prompts are, and how long they may be; in tokens."""
        return {
            role: {
                "median": int(np.median(found)),
                "longest": max(found),
                "room": self.rooms[role].tokens,
            }
            for role, found in self.lengths.items()
        }


def fitting(
    job: Job[StageConfig],
    models: Mapping[Role, NamedModel],
    *,
    max_tokens: int,
    max_length: int,
    system: str,
) -> Fitting:
    """What prompts have to fit: with responses of `max_tokens` into training sequences of `max_length`, and
    into each model's context."""
    return Fitting(
        {
            role: _room(role, job, model, max_tokens, max_length, system if role == "student" else "")
            for role, model in models.items()
        }
    )


def _room(
    role: Role, job: Job[StageConfig], model: NamedModel, max_tokens: int, max_length: int, system: str
) -> Room:
    renderer = renderer_of(job, model)
    limits = []
    if context := context_of(model.source(job)):
        text = f"{role}'s context {context}, less synthesis.max_tokens {max_tokens} and markup"
        limits.append((context - max_tokens - ROOM_FOR_MARKUP, text))
    if role == "student":
        end = len(renderer.close_answer_ids())
        text = f"train.max_length {max_length}, less synthesis.max_tokens {max_tokens} and the end"
        limits.append((max_length - max_tokens - end, text))
    tokens, because = min(limits, default=(max_length, "no limit"))
    return Room(renderer, tokens, because, system)


def context_of(source: Source) -> int | None:
    """Tokens that a checkpoint can read at once, by its configuration; None where that does not say it."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.name, revision=source.revision).get_text_config()
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None
