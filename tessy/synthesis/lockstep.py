"""Synthesis in lock step, as in the authors' release: the baseline for measuring the scheduler.

In each step all samples request a chunk, and all chunks are awaited; then the boundary predictors judge
all chunks while the engines are idle. With a server's text endpoint every step sends the whole text, and the
server and the predictor encode all of it again.

Not covered: journals and retries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol, cast

from tessy.engines import Continuation, Request
from tessy.records import ROLES, Trajectory
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Proposal, Rollout, Sample


class Judge(Protocol):
    """A predictor that judges many chunks in one blocking call (`tessy.boundary.sliding`)."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[list[tuple[int, bool]]]:
        """For each (context, chunk): (offset in chunk, whether the token there is the other author's)."""


async def write_in_lockstep(
    samples: Sequence[Sample], assignment: Assignment, meters: Meters, concurrency: int
) -> list[Trajectory]:
    """Write `samples`, `concurrency` at a time; finished samples are replaced at the next step.

    The authors' predictors must be able to `judge` (`Judge`).
    """
    rollouts = [Rollout(sample, assignment) for sample in samples]
    while live := [rollout for rollout in rollouts if rollout.state.part is not None][:concurrency]:
        requests = [_request(rollout) for rollout in live]
        meters.requests.update(rollout.state.author for rollout in live)
        written = await asyncio.gather(
            *(rollout.author.engine.open(r).finished() for rollout, r in zip(live, requests, strict=True))
        )
        proposals = [_proposal(d, r, w) for d, r, w in zip(live, requests, written, strict=True)]
        _judge(live, proposals, meters)
    return [rollout.trajectory() for rollout in rollouts]


def _request(rollout: Rollout) -> Request:
    chunk = rollout.author.chunk_tokens if rollout.watched else rollout.budget()
    return rollout.request(chunk, chunk)


def _proposal(rollout: Rollout, request: Request, written: Continuation) -> Proposal | None:
    spent = written.finish_reason == "length" and request.max_tokens >= rollout.budget()
    return rollout.proposal(written.token_ids, written.finish_reason, spent=spent)


def _judge(live: Sequence[Rollout], proposals: Sequence[Proposal | None], meters: Meters) -> None:
    """Judge all proposals, one batch per author, and accept the turns."""
    pairs = [(d, p) for d, p in zip(live, proposals, strict=True) if p is not None]
    labels: dict[int, list[tuple[int, bool]]] = {}
    for role in ROLES:
        watched = [(d, p) for d, p in pairs if d.watched and d.state.author == role]
        if watched:
            predictor, began = watched[0][0].author.predictor, time.perf_counter()
            found = cast(Judge, predictor).judge([(d.thinking, p.chunk[: p.settled]) for d, p in watched])
            meters.predictor_busy_s += time.perf_counter() - began
            labels |= {id(d): own for (d, _), own in zip(watched, found, strict=True)}
    for rollout, proposal in pairs:
        turn = rollout.turn(proposal, labels.get(id(rollout), []))
        rollout.accept(turn)
        meters.turn(turn)
