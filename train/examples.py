"""Training sequences from trajectories: the synthesised ids, where the loss begins, and each token's kind.

A training set that would train on anything else than its traces is refused, naming the sample. Text is
decoded only for checks and never tokenised again.

Not covered: methods that one author wrote have no style and capability spans, so their loss has no such
terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tessy.chat import Renderer
from tessy.chat.vocabulary import token_bytes
from tessy.errors import UserError
from tessy.records import Span, SpanKind, Trajectory
from tessy.sources import LeftOut, Unfit

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
    """Limits of sequences: the recipe's `train.max_length`, the model's context length, its number of ids."""

    max_length: int
    context: int
    vocabulary: int


def examples(
    trajectories: Iterable[Trajectory],
    renderer: Renderer,
    limits: Limits,
    system: str = "",
    left_out: LeftOut | None = None,
) -> list[Example]:
    """Every finished trajectory, checked, its prompt behind `system` where given. One that is too long is
    added to `left_out`. Raises `UserError` naming the first that would train on something else."""
    if limits.max_length > limits.context:
        raise UserError(
            f"train.max_length {limits.max_length} is over the model's context of {limits.context} tokens "
            "(max_position_embeddings in its config.json); lower it"
        )
    counted = LeftOut() if left_out is None else left_out
    found = []
    for one in trajectories:
        if one.stop_reason != "finished":
            continue
        sample = behind(system, one, renderer) if system else one
        try:
            found.append(example(sample, renderer, limits))
        except Unfit as why:
            counted.add(f"sample {one.sample_id}", why)
    if not found:
        raise UserError(
            "trajectories: none can be trained on, "
            + ("; ".join(counted.lines()) or "none is finished: look at their stop_reason")
            + "; raise train.max_length or lower synthesis.max_tokens" * bool(counted.rows)
        )
    return found


def example(trajectory: Trajectory, renderer: Renderer, limits: Limits) -> Example:
    """One trajectory as a training sequence; raises `Unfit` where it is too long, and `UserError` where it
    would train on something else."""
    ids, prompt = np.array(trajectory.student_token_ids), trajectory.prompt_tokens
    if len(ids) > limits.max_length:
        raise Unfit("too long", f"{len(ids)} tokens, train.max_length is {limits.max_length}")
    fault = _fault_in_tokenizer(trajectory, renderer) or _fault_in_ids(ids, prompt, limits)
    if fault is None:
        decoded = renderer.decode(ids[prompt:].tolist())
        fault = _fault_in_text(trajectory, decoded, renderer)
    if fault is not None:
        raise UserError(f"sample {trajectory.sample_id}: {fault}")
    before = len(decoded[: decoded.index(trajectory.text)].encode())
    kinds = np.full(len(ids), PROMPT, np.int8)
    kinds[prompt:] = token_kinds(byte_lengths(renderer)[ids[prompt:]], before, trajectory.spans)
    return Example(ids.astype(np.int32), kinds, prompt)


def behind(system: str, trajectory: Trajectory, renderer: Renderer) -> Trajectory:
    """The trajectory with `system` inserted before its prompt."""
    prompt = renderer.prompt_ids(trajectory.prompt, system)
    response = trajectory.student_token_ids[trajectory.prompt_tokens :]
    return replace(trajectory, student_token_ids=prompt + response, prompt_tokens=len(prompt))


def _fault_in_tokenizer(trajectory: Trajectory, renderer: Renderer) -> str | None:
    found = trajectory.tokenizer or "of no known fingerprint"
    if found == renderer.fingerprint:
        return None
    return (
        f"its ids belong to another tokenizer, {found}; that of the "
        f"model to train is {renderer.fingerprint}; synthesise with this model as models.student, or train "
        "one that has the set's vocabulary"
    )


def _fault_in_ids(ids: NDArray[np.int64], prompt: int, limits: Limits) -> str | None:
    if not 0 < prompt < len(ids):
        return f"prompt of {prompt} tokens in a sequence of {len(ids)}; nothing would be learned"
    if ids.min() < 0 or ids.max() >= limits.vocabulary:
        outside = ids.max() if ids.max() >= limits.vocabulary else ids.min()
        return (
            f"id {outside} is outside the vocabulary of {limits.vocabulary}; synthesise again with this "
            "student, or train one with its vocabulary"
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


def token_kinds(lengths: NDArray[np.int64], before: int, spans: Sequence[Span]) -> NDArray[np.int8]:
    """The kind (index into `KINDS`) of each response token of `lengths` bytes: that of the span in which
    it begins, the first of which stands behind `before` bytes. What the template adds around is markup."""
    sizes = [before, *(len(span.text.encode()) for span in spans)]
    markup = KINDS.index("markup")
    kinds = np.array([markup, *(KINDS.index(span.kind) for span in spans), markup], np.int8)
    starts = np.cumsum(lengths) - lengths
    return kinds[np.searchsorted(np.cumsum(sizes), starts, side="right")]


@cache
def byte_lengths(renderer: Renderer) -> NDArray[np.int64]:
    """The number of bytes of text of each id."""
    known = token_bytes(renderer.tokenizer)
    lengths = np.zeros(max(known) + 1, np.int64)
    lengths[list(known)] = [len(text) for text in known.values()]
    return lengths
