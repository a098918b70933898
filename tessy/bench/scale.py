"""GPU-hours of synthesis at the paper's size, from what was measured on small ones and simulated.

A step of a server reads its weights, of a mixture those of the experts that the batch meets, and the keys and
values of the samples that it writes for, at a share of the memory's bandwidth. A sample in flight needs room
in both models' caches, so students and teachers are as many as hold the same number. What plain requests
would give is then the samples in flight over the time of a token; cooperation gives a share of that.

Not covered: prefill, the network, samples that are written again, and the tail of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessy.bench.simulation import Begin, Timing, simulate

GB = 1e9


@dataclass(frozen=True, slots=True)
class Card:
    """Memory and bandwidth in bytes (per second); `efficiency` is the share of it that steps reach."""

    name: str
    memory: float
    bandwidth: float
    efficiency: float = 0.5
    """An 8B model alone on an H200 reached 0.51 with 96 requests in a step and 0.38 with 192 (README.md)."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model: bytes of its weights, of a token's keys and values, and of weights that every step reads; the
    rest are `experts`, of which a token meets `active`. It writes `share` of a trace."""

    name: str
    weights: float
    kv_per_token: float
    share: float
    always: float
    experts: int = 1
    active: int = 1

    def read(self, batch: float, context: float) -> float:
        """Bytes of a step for `batch` samples of `context` tokens."""
        met = 1 - (1 - self.active / self.experts) ** batch if self.experts > 1 else 1.0
        return self.always + met * (self.weights - self.always) + batch * context * self.kv_per_token


CARDS: Mapping[str, Card] = {
    "h200": Card("H200", 141 * GB, 4.8e12),
    "h100": Card("H100", 80 * GB, 3.35e12),
}
TEACHER = Served("GPT-OSS-120B", 65 * GB, 36 * 1024, 0.7765, 4.5 * GB, experts=128, active=4)
"""MXFP4, as published; the share is the paper's (its figure 17)."""
STUDENT = Served("Qwen3-8B", 16.4 * GB, 144 * 1024, 1 - TEACHER.share, 16.4 * GB)
ROOM = 0.9
"""Of a card's memory is for weights and caches."""
SAMPLES, TOKENS = 80_000, 14_600
MEASURED: Mapping[str, float] = {"streamed, all on one H200": 0.5, "lock step as released": 0.12}
"""Tokens per second that one H200 wrote (3,240 and 3,962, 704 and 983, without and with MPS) over the 7,200
of plain requests that are predicted for it, the middle of 6,300 to 8,100 (README.md)."""
BEGIN_MS, SIMULATED = 0.8, 48
"""What a request that begins computes, in milliseconds of its model's device (README.md, predicted), and
how many samples are simulated, each in the place of as many as there are."""
PREDICTOR_MS, PREDICTOR_US = 1.6, 3.1
"""A pass, and a token in it: 1.8 ms for 8 traces with 8 new tokens each, 4.0 for 96 (README.md)."""
PREDICTOR_TOKENS_PER_S = 93_000.0
"""New tokens that one predictor judges (README.md)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What plain requests give with one teacher's card and `students` cards of students beside it."""

    students: float
    in_flight: float
    step_s: Mapping[str, float]
    tokens_per_s: float

    @property
    def per_card(self) -> float:
        return self.tokens_per_s / (1 + self.students)


def limit(card: Card, teacher: Served, student: Served, tokens: float) -> Limit:
    """At traces of `tokens`, which are half written on average."""
    context = tokens / 2
    held = {m.name: (ROOM * card.memory - m.weights) / (context * m.kv_per_token) for m in (teacher, student)}
    live, students = held[teacher.name], held[teacher.name] / held[student.name]
    # How many wait at which model follows from how long each takes, and the other way round.
    steps = {teacher.name: 1.0, student.name: 1.0}
    for _ in range(100):
        token_s = sum(m.share * steps[m.name] for m in (teacher, student))
        for model, cards in ((teacher, 1.0), (student, students)):
            batch = live * model.share * steps[model.name] / token_s / cards
            steps[model.name] = model.read(batch, context) / (card.bandwidth * card.efficiency)
    return Limit(students, live, steps, live / sum(m.share * steps[m.name] for m in (teacher, student)))


def gpu_hours(card: Card, samples: int, tokens: int, share: float, reread: float = 1.3) -> float:
    """For `samples` traces of `tokens` at `share` of the limit; predictors have cards of their own and judge
    `reread` tokens for every accepted one."""
    writing = samples * tokens / (limit(card, TEACHER, STUDENT, tokens).per_card * share)
    return (writing + samples * tokens * reread / PREDICTOR_TOKENS_PER_S) / 3600


def cost(samples: int = SAMPLES, tokens: int = TOKENS) -> dict[str, Any]:
    """By card: the limit, the steps, and GPU-hours by share; the streamed one is simulated at these steps."""
    found: dict[str, Any] = {"samples": samples, "tokens": tokens}
    for name, card in CARDS.items():
        best = limit(card, TEACHER, STUDENT, tokens)
        token_ms = 1e3 * sum(m.share * best.step_s[m.name] for m in (TEACHER, STUDENT))
        begin = Begin(request_ms=BEGIN_MS * best.in_flight / SIMULATED, ahead=True)
        timing = Timing(token_ms, PREDICTOR_MS, PREDICTOR_US, SIMULATED, tokens=400, begin=begin)
        simulated = simulate(timing)
        shares = {
            "plain requests (the limit)": 1.0,
            "streamed, simulated": simulated["stream"]["share_of_limit"],
            "literal k = 20, simulated": simulated["literal"]["share_of_limit"],
            **MEASURED,
        }
        found[name] = {
            "in_flight_per_teacher": round(best.in_flight),
            "student_cards_per_teacher": round(best.students, 2),
            "step_ms": {model: round(1e3 * s, 1) for model, s in best.step_s.items()},
            "tokens_per_s_and_card": round(best.per_card),
            "share_of_limit": {way: round(share, 3) for way, share in shares.items()},
            "gpu_hours": {
                way: round(gpu_hours(card, samples, tokens, share)) for way, share in shares.items()
            },
        }
    return found
