"""What SFT sees of a trajectory: the ids that were synthesised, where the loss begins, and whose each is.

A set that would train on something else than its traces is refused, with the sample at fault. Text is
decoded to be checked and never tokenised again.

Not covered: methods that one author wrote have no style and capability spans, so their loss has no such
terms.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tessy.chat import Renderer
from tessy.errors import UserError
from tessy.records import SpanKind, Trajectory

KINDS: tuple[SpanKind, ...] = get_args(SpanKind)
PROMPT = -1
"""Stands for a kind where there is no loss."""


@dataclass(frozen=True, slots=True)
class Example:
    """A training sequence. `ids` and `kinds` (indices into `KINDS`, `PROMPT` before the response) have one
    entry per token; the first `prompt` tokens carry no loss."""

    ids: NDArray[np.int32]
    kinds: NDArray[np.int8]
    prompt: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def targets(self) -> int:
        """Tokens that carry loss."""
        return len(self) - self.prompt


@dataclass(frozen=True, slots=True)
class Limits:
    """What sequences must fit: the recipe's `train.max_length`, the model's context, its number of ids."""

    max_length: int
    context: int
    vocabulary: int


def examples(
    trajectories: Iterable[Trajectory], renderer: Renderer, limits: Limits, system: str = ""
) -> list[Example]:
    """Every finished trajectory, checked, its prompt behind `system` where given. Raises `UserError`
    naming the first that does not fit."""
    if limits.max_length > limits.context:
        raise UserError(
            f"train.max_length {limits.max_length} is over the model's context of {limits.context} tokens "
            "(max_position_embeddings in its config.json); lower it"
        )
    finished = (t for t in trajectories if t.stop_reason == "finished")
    found = [example(behind(system, t, renderer) if system else t, renderer, limits) for t in finished]
    if not found:
        raise UserError(
            "trajectories: none is finished, so there is nothing to train on; look at their stop_reason"
        )
    return found


def example(trajectory: Trajectory, renderer: Renderer, limits: Limits) -> Example:
    """One trajectory as a training sequence; raises `UserError` where it would train on something else."""
    ids, prompt = trajectory.student_token_ids, trajectory.prompt_tokens
    fault = _fault_in_ids(ids, prompt, limits)
    if fault is None:
        pieces = renderer.pieces(ids[prompt:])
        fault = _fault_in_text(trajectory, "".join(pieces), renderer)
    if fault is not None:
        raise UserError(f"sample {trajectory.sample_id}: {fault}")
    kinds = [PROMPT] * prompt + token_kinds(pieces, trajectory)
    return Example(np.array(ids, np.int32), np.array(kinds, np.int8), prompt)


def behind(system: str, trajectory: Trajectory, renderer: Renderer) -> Trajectory:
    """The trajectory as if `system` had stood before its prompt."""
    prompt = renderer.prompt_ids(trajectory.prompt, system)
    response = trajectory.student_token_ids[trajectory.prompt_tokens :]
    return replace(trajectory, student_token_ids=prompt + response, prompt_tokens=len(prompt))


def _fault_in_ids(ids: list[int], prompt: int, limits: Limits) -> str | None:
    if not 0 < prompt < len(ids):
        return f"prompt of {prompt} tokens in a sequence of {len(ids)}; nothing would be learned"
    if not 0 <= min(ids) <= max(ids) < limits.vocabulary:
        outside = max(ids) if max(ids) >= limits.vocabulary else min(ids)
        return (
            f"id {outside} is outside the vocabulary of {limits.vocabulary}; synthesise again with this "
            "student, or train one with its vocabulary"
        )
    if len(ids) > limits.max_length:
        return (
            f"{len(ids)} tokens, train.max_length is {limits.max_length}; raise it or lower "
            "synthesis.max_tokens"
        )
    return None


def _fault_in_text(trajectory: Trajectory, decoded: str, renderer: Renderer) -> str | None:
    if trajectory.text not in decoded:
        return "its token ids do not decode to its text; they belong to another tokenizer"
    if trajectory.student_token_ids[-1] not in renderer.answer_end_ids:
        return "it does not end with the end-of-answer token, so the student would not learn to stop"
    thinking = "".join(s.text for s in trajectory.spans if s.kind in ("style", "capability", "thinking"))
    if not thinking.strip():
        return "its thinking is empty; leave such samples out"
    return None


def token_kinds(pieces: list[str], trajectory: Trajectory) -> list[int]:
    """The kind (index into `KINDS`) of each response token, given the text each adds: the kind of the span
    in which its text begins. What the template adds around the spans is markup."""
    start = "".join(pieces).index(trajectory.text)
    bounds = list(accumulate((len(span.text) for span in trajectory.spans), initial=start))
    markup = KINDS.index("markup")
    kinds = [markup, *(KINDS.index(span.kind) for span in trajectory.spans), markup]
    offsets = accumulate((len(piece) for piece in pieces), initial=0)
    return [kinds[bisect_right(bounds, offset)] for offset, _ in zip(offsets, pieces, strict=False)]
