"""Writes samples: every one an independent task, none waiting for another.

A task opens a continuation with the author whose turn it is, looks at it every `chunk_tokens` tokens,
asks the author's boundary predictor where it stops being the author's own, journals what is accepted,
and aborts the continuation at a boundary. With `max_continuation_tokens` equal to `chunk_tokens` that is
Algorithm 1 to the letter (a request per chunk); with longer ones the same text is accepted from a stream.

Engines and predictors batch whatever is asked at the same moment; there is no step barrier. An engine
that fails is asked again from the last accepted turn, for as long as `Patience` lasts; then the sample
is recorded as failed, with the reason, and nothing else suffers. An engine that takes its key no longer ends
the work instead: no sample is to blame, and with another key it goes on.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tessy.boundary import InPasses
from tessy.engines import LOCKED, Continuation, EngineFault
from tessy.errors import UserError
from tessy.records import Trajectory, to_row
from tessy.synthesis.cooperation import Turn
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Proposal, Rollout, Sample
from tessy.synthesis.span_lengths import LEAST, Pace, SpanLengths

UNWATCHED_CHUNK = 256
"""Tokens between two turns where nobody interrupts the author: how much of a trace a crash can cost."""
SPELLED_CHUNK = 32
"""The same where only text ends the part: what is written behind it is thrown away."""

POLL_S = 0.5
"""How often a process with nothing left to claim looks whether another one has died."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long engines that fail are asked again: `attempts` in a row with an answer that is a fault,
    `seconds` in a row without any answer. Pauses double, with jitter, up to `longest_pause_s`."""

    attempts: int = 8
    seconds: float = 600.0
    pause_s: float = 0.25
    longest_pause_s: float = 20.0

    def pause(self, faults: int) -> float:
        """Seconds to wait after so many faults in a row."""
        return random.uniform(0.5, 1.0) * min(self.longest_pause_s, self.pause_s * 2 ** (faults - 1))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How samples are run: `concurrency` at once while the models' KV caches have room for them.

    `max_continuation_tokens` is the longest continuation opened at a time where a predictor watches
    (`span_lengths` opens shorter ones); None asks chunk by chunk. `adaptive` has all judged that has arrived
    since the last look, and looks as often as answers come: for engines that draw as they go, because turns
    then depend on who was faster. `kv_tokens` is how many tokens the smallest KV cache holds, None where that
    is no limit.
    """

    concurrency: int
    max_continuation_tokens: int | None = 512
    kv_tokens: int | None = None
    patience: Patience = Patience()
    adaptive: bool = False


async def write_all(
    samples: Sequence[Sample],
    assignment: Assignment,
    journal: Journal,
    schedule: Schedule,
    meters: Meters,
    on_done: Callable[[], None] = lambda: None,
) -> None:
    """Write every sample into the journal, or see that another process does."""
    by_id = {sample.sample_id: sample for sample in samples}
    ids = list(by_id)
    room, span_lengths, pace = _Room(schedule, assignment.max_tokens), SpanLengths(), Pace()

    async def work() -> None:
        while True:
            await room.enter()
            try:
                sample_id = journal.claim(ids)
                if sample_id is None:
                    return
                trajectory = await write(
                    by_id[sample_id], assignment, journal, schedule, meters, span_lengths, pace, room
                )
                if trajectory.failure and assignment.must_finish:
                    raise UserError(
                        f"{assignment.name}: the engine failed on {sample_id}: {trajectory.failure}; run "
                        "again when it is back: what is written is kept"
                    )
                journal.finish(sample_id, to_row(trajectory))
                meters.finish(trajectory)
                on_done()
            finally:
                room.leave()

    async def drain() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(schedule.concurrency, len(ids))):
                    group.create_task(work())
        except* UserError as errors:
            raise errors.exceptions[0] from None

    await drain()
    while not journal.is_complete(ids):
        await asyncio.sleep(POLL_S)
        await drain()


async def write(
    sample: Sample,
    assignment: Assignment,
    journal: Journal,
    schedule: Schedule,
    meters: Meters,
    span_lengths: SpanLengths | None = None,
    pace: Pace | None = None,
    room: _Room | None = None,
) -> Trajectory:
    """Write one sample from where its journal stops."""
    span_lengths, pace = span_lengths or SpanLengths(), pace or Pace()
    rollout = Rollout(sample, assignment, journal.turns(sample.sample_id))
    faults, silent_since, failure = 0, None, ""
    while rollout.state.part is not None and not failure:
        before = len(rollout.turns)
        try:
            await _stretch(rollout, journal, schedule, meters, span_lengths, pace)
            if rollout.repetitive:
                turn = rollout.stop_repeating()
                journal.append(sample.sample_id, turn)
                rollout.accept(turn)
            if room is not None:
                room.resize(sample.sample_id, rollout.live_tokens)
        except EngineFault as fault:
            meters.fault(fault.reason)
            if fault.reason == LOCKED:
                raise UserError(
                    f"{assignment.name}: {fault}; set the variable that api_key_env names and run the same "
                    "command again: what was accepted so far is kept"
                ) from None
            faults = 1 if len(rollout.turns) > before else faults + 1
            silent_since = silent_since or time.monotonic() if fault.unreachable else None
            failure = _given_up(fault, faults, silent_since, schedule.patience)
            if not failure:
                await asyncio.sleep(schedule.patience.pause(faults))
        else:
            faults, silent_since = 0, None
    for author in assignment.authors.values():
        author.engine.release(sample.sample_id)
        if author.predictor is not None:
            author.predictor.release(sample.sample_id)
    if room is not None:
        room.forget(sample.sample_id, rollout.live_tokens)
    return rollout.trajectory(failure)


def _given_up(fault: EngineFault, faults: int, silent_since: float | None, patience: Patience) -> str:
    """Why the sample is given up, or ""."""
    if silent_since is not None:
        waited = time.monotonic() - silent_since
        return f"{fault} (for {waited:.0f} s)" if waited > patience.seconds else ""
    return f"{fault} ({faults} times)" if fault.permanent or faults >= patience.attempts else ""


async def _stretch(
    rollout: Rollout,
    journal: Journal,
    schedule: Schedule,
    meters: Meters,
    span_lengths: SpanLengths,
    pace: Pace,
) -> None:
    """Open one continuation and take turns from it until it is used up or somebody else has to write."""
    author, role, watched = rollout.author, rollout.state.author, rollout.watched
    adaptive = watched and schedule.adaptive and schedule.max_continuation_tokens is not None
    unwatched = SPELLED_CHUNK if rollout.ends_in_text else UNWATCHED_CHUNK
    chunk = interval = author.chunk_tokens if watched else unwatched
    passes = author.predictor.passes if adaptive and isinstance(author.predictor, InPasses) else None
    behind, most = pace.behind(role), sys.maxsize
    if passes is not None:
        interval = LEAST  # asking costs nothing: the pass comes anyway
        most = span_lengths.worth_asking(role, passes.fixed_tokens)
        chunk = min(most, pace.least(role, passes.period_s))
        behind = max(behind, pace.within(role, passes.period_s or 0.0))
    elif adaptive:
        chunk = interval = pace.interval(role, chunk)
    budget = max_tokens = rollout.budget()
    if rollout.schema:
        # Engines begin a schema anew with every request, so that its text is one turn.
        chunk = budget
    elif schedule.max_continuation_tokens is None:
        max_tokens = chunk
    elif watched and adaptive:
        max_tokens = span_lengths.continuation_tokens_behind(role, schedule.max_continuation_tokens, behind)
    elif watched:
        max_tokens = span_lengths.continuation_tokens(role, chunk, schedule.max_continuation_tokens)
    request = rollout.request(max_tokens, interval)
    meters.request(role)
    continuation = author.engine.open(request) if request.max_tokens > 0 else _nothing()
    taken, clock = 0, asyncio.get_running_loop().time
    opened = clock()
    with ExitStack() as leaving:
        leaving.callback(continuation.abort)
        if passes is not None:
            leaving.enter_context(passes.writing())
        while True:
            writes = continuation.finish_reason is None
            await continuation.grown(taken + chunk)
            asked = clock()
            if writes:
                pace.wrote(role, len(continuation.token_ids), asked - opened)
            if passes is not None:
                await passes.free()
            # Else never more than a chunk, so that a trace's turns do not depend on who was faster.
            end = min(len(continuation.token_ids), taken + most) if adaptive else taken + chunk
            new, logprobs = continuation.token_ids[taken:end], continuation.logprobs[taken:end]
            taken += len(new)
            finish = continuation.finish_reason if taken == len(continuation.token_ids) else None
            # Fewer ids than asked for without an end: the model's context is full.
            spent = finish == "length" and (request.max_tokens >= budget or taken < request.max_tokens)
            proposal = rollout.proposal(new, finish, spent=spent, logprobs=logprobs)
            turn = await _next_turn(rollout, proposal, meters, pace, asked) if proposal else None
            if turn is not None:
                if turn.ended_by != "chunk":
                    continuation.abort()
                    meters.excess(len(continuation.token_ids) - taken)
                journal.append(rollout.sample.sample_id, turn)
                rollout.accept(turn)
                meters.turn(turn)
                if watched:
                    span_lengths.took(rollout.sample.sample_id, turn)
                if turn.ended_by != "chunk" or rollout.repetitive:
                    return
            if finish is not None:
                return


async def _next_turn(rollout: Rollout, proposal: Proposal, meters: Meters, pace: Pace, asked: float) -> Turn:
    """Have judged what the author proposes; `asked` is when enough of it had come."""
    labels: list[tuple[int, bool]] = []
    predictor = rollout.author.predictor
    if rollout.watched and predictor is not None:
        clock = asyncio.get_running_loop().time
        labels = await predictor.foreign(
            rollout.sample.sample_id, rollout.thinking, proposal.chunk[: proposal.settled]
        )
        pace.judged(clock() - asked)
        meters.predictor_waits_s += clock() - asked
    return rollout.turn(proposal, labels)


def _nothing() -> Continuation:
    done = Continuation()
    done.push([], "length")
    return done


class _Room:
    """Admission by what the KV caches hold: a sample enters when its expected length still fits.

    The expected length is the mean of those that finished, at first half the cap; a sample that has
    outgrown it counts with what it has. One sample is always let in.
    """

    def __init__(self, schedule: Schedule, max_tokens: int) -> None:
        self._capacity = schedule.kv_tokens
        self._expected, self._finished = max_tokens / 2, 0
        self._inside, self._held = 0, dict[str, int]()
        self._changed = asyncio.Event()

    async def enter(self) -> None:
        while self._inside and not self._fits():
            self._changed.clear()
            await self._changed.wait()
        self._inside += 1

    def leave(self) -> None:
        self._inside -= 1
        self._changed.set()

    def resize(self, sample_id: str, tokens: int) -> None:
        self._held[sample_id] = tokens

    def forget(self, sample_id: str, tokens: int) -> None:
        self._held.pop(sample_id, None)
        self._finished += 1
        self._expected += (tokens - self._expected) / self._finished

    def _fits(self) -> bool:
        if self._capacity is None:
            return True
        outgrown = sum(max(0.0, tokens - self._expected) for tokens in self._held.values())
        return (self._inside + 1) * self._expected + outgrown <= self._capacity
