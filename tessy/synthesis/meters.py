"""Counters of a running synthesis, and rates computed from them. Pure except for the clock."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tessy.records import Role, Trajectory
from tessy.synthesis.cooperation import Turn


@dataclass
class Meters:
    """Counters since `started`. Tokens are the authors' own."""

    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None
    requests: Counter[Role] = field(default_factory=Counter)
    accepted: Counter[Role] = field(default_factory=Counter)
    generated: int = 0
    rolled_back: int = 0
    switches: int = 0
    turns: int = 0
    predictor_waits_s: float = 0.0
    """Time samples spent waiting for a boundary predictor, summed over samples that wait together."""
    predictor_busy_s: float = 0.0
    """Time the boundary predictors computed."""
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def stop(self) -> None:
        """Stop the clock: rates are measured from `started` to this call."""
        self.stopped = time.monotonic()

    def request(self, role: Role) -> None:
        self.requests[role] += 1

    def turn(self, turn: Turn) -> None:
        self.turns += 1
        self.accepted[turn.author] += len(turn.ids)
        self.generated += turn.generated
        self.rolled_back += turn.rolled_back
        self.switches += turn.ended_by == "boundary"

    def excess(self, tokens: int) -> None:
        """Count unused tokens: they arrived while the turn that ended their continuation was judged."""
        self.generated += tokens
        self.rolled_back += tokens

    def fault(self, reason: str) -> None:
        self.faults[reason] += 1

    def finish(self, trajectory: Trajectory) -> None:
        self.outcomes[trajectory.stop_reason] += 1

    def values(self) -> dict[str, float]:
        """Everything as flat numbers, for logs."""
        seconds = max(1e-9, (self.stopped or time.monotonic()) - self.started)
        accepted = self.accepted.total()
        out: dict[str, float] = {
            "seconds": seconds,
            "accepted_tokens": accepted,
            "accepted_tokens_per_s": accepted / seconds,
            "generated_tokens": self.generated,
            "rolled_back_tokens": self.rolled_back,
            "requests": self.requests.total(),
            "switches_per_1000_tokens": 1000 * self.switches / max(1, accepted),
            "teacher_token_share": self.accepted["teacher"] / max(1, accepted),
            "predictor_waits_s": self.predictor_waits_s,
            "predictor_busy_s": self.predictor_busy_s,
        }
        out |= {f"faults/{reason}": count for reason, count in self.faults.items()}
        return out | {f"outcomes/{name}": count for name, count in self.outcomes.items()}
