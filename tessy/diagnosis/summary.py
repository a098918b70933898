"""A set beside the student's own traces, in numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessy.diagnosis.responses import CUT_OFF, REPETITIVE, Response, faults
from tessy.diagnosis.tokens import ANSWER, CAPABILITY, STYLE, THINKING, Tokens
from tessy.statistics import Estimate, ratio, ratio_difference

PARTS: Mapping[str, tuple[int, ...]] = {
    "all": (STYLE, CAPABILITY, ANSWER),
    "thinking": THINKING,
    "style": (STYLE,),
    "capability": (CAPABILITY,),
    "answer": (ANSWER,),
}
"""What is measured apart, as kinds of tokens. Markup is the template's, and no part."""
QUANTILES = (0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Nll:
    """The student's mean nll per token, in nats, with its 95 % interval over responses."""

    tokens: int
    nll: Estimate


@dataclass(frozen=True, slots=True)
class Health:
    """Of `responses`, the shares that were cut off and that repeat themselves, all faults by name, and
    their lengths in the student's tokens at `QUANTILES`, and the mean. `style` is its share of thinking."""

    responses: int
    cut_off: float
    repetitive: float
    faults: Mapping[str, int]
    lengths: Sequence[int]
    mean_length: float
    style: float
    too_long: int
    """Responses over the student's context with their prompt."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The set's nll beside the student's own; `difference` is what the set costs more."""

    found: Nll
    own: Nll
    difference: Estimate


def gaps(found: Sequence[Tokens], own: Sequence[Tokens]) -> dict[str, Gap]:
    """By part, where both sides have tokens of it."""
    out = {}
    for part, kinds in PARTS.items():
        ours, theirs = sums(found, kinds), sums(own, kinds)
        if ours[:, 1].any() and theirs[:, 1].any():
            out[part] = Gap(_nll(ours), _nll(theirs), ratio_difference(ours, theirs))
    return out


def sums(tokens: Sequence[Tokens], kinds: Sequence[int]) -> NDArray[np.float64]:
    """(responses, 2): the nats and the number of tokens of these kinds."""
    masks = [(one, np.isin(one.kinds, kinds)) for one in tokens]
    return np.array([[one.nll[mask].sum(), mask.sum()] for one, mask in masks], float).reshape(-1, 2)


def _nll(by_response: NDArray[np.float64]) -> Nll:
    return Nll(int(by_response[:, 1].sum()), ratio(by_response))


def health(
    responses: Sequence[Response], tokens: Sequence[Tokens], lengths: Sequence[int], context: int
) -> Health:
    """Of a set's sample; `tokens` are those of its responses that could be read, `lengths` those of all with
    their prompts."""
    wrong = [faults(response) for response in responses]
    sizes = [len(one) for one in tokens] or [0]
    kinds = np.concatenate([one.kinds for one in tokens]) if tokens else np.zeros(0, np.int8)
    thinking = np.isin(kinds, THINKING).sum()
    return Health(
        responses=len(responses),
        cut_off=_share(not CUT_OFF.isdisjoint(one) for one in wrong),
        repetitive=_share(REPETITIVE in one for one in wrong),
        faults=dict(Counter(name for one in wrong for name in one).most_common()),
        lengths=[int(value) for value in np.quantile(sizes, QUANTILES)],
        mean_length=float(np.mean(sizes)),
        style=float((kinds == STYLE).sum() / thinking) if thinking else 0.0,
        too_long=sum(length > context for length in lengths),
    )


def _share(found: Iterable[bool]) -> float:
    return float(np.mean([*found] or [False]))
