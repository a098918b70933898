"""Cooperative synthesis at the timing of a GPU, anywhere: engines and predictors that only take their time.

An engine takes `engine_ms` for a step, in which each of its open requests grows by a token, however many
there are; more where requests begin in it (`Begin`). A predictor empties its queue in a pass of
`predictor_ms` and `predictor_us_per_token` besides. Everything between them is the real thing: scheduler,
cuts, journal. By default the clock is virtual and this process's own work costs nothing; on the real clock
it does.

Tokens are words, those of the student in lower case; spans have geometric lengths. Rates are those until the
first response is complete, when all are still in flight. Not covered: engines that slow down as their batch
grows, and what a longer context costs.
"""

from __future__ import annotations

import asyncio
import functools
import random
import selectors
import string
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tessy.bench.plain import END, PlainRenderer
from tessy.boundary.passes import Passes
from tessy.chat import Renderer
from tessy.config.methods import METHODS
from tessy.engines import Continuation, EngineStats, Request
from tessy.records import ROLES, Problem, Role
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author, samples_of
from tessy.synthesis.scheduler import Schedule, write_all

PROBLEM, WORDS = 1 << 20, 4096
"""Ids from `PROBLEM` on are problems. Each author has `WORDS` words."""
LITERAL, STRIDE, REACH = 20, 16, 512


@dataclass(frozen=True, slots=True)
class Begin:
    """What it costs an engine that requests begin: a step in which any does takes `step_ms` more, and
    `request_ms` more for each. With `ahead` a step is scheduled while the previous one runs, as vLLM's
    asynchronous scheduling does, so that who arrives meanwhile waits for it as well."""

    step_ms: float = 0.0
    request_ms: float = 0.0
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """What is simulated: milliseconds of a step and of a pass, microseconds of a token in a pass; `samples`
    in flight, of `tokens` tokens each, in spans of `span_tokens` on average."""

    engine_ms: float
    predictor_ms: float
    predictor_us_per_token: float = 10.0
    samples: int = 96
    tokens: int = 1000
    span_tokens: float = 12.0
    begin: Begin = Begin()
    one_device: bool = False
    """Both engines compute on the same device: their steps take turns."""
    predictors_beside: bool = False
    """Predictors compute there, too: their passes take turns with the steps."""
    rest: float = 0.0
    """How long a predictor rests after a pass, in passes."""

    @property
    def limit(self) -> float:
        """Tokens per second of plain requests to both engines at once."""
        return 1000 * self.samples / self.engine_ms / (2 if self.one_device else 1)


def simulate(timing: Timing, *, virtual: bool = True) -> dict[str, Any]:
    """Accepted tokens per second by stream and by literal chunks, beside the limit: plain requests."""
    run = _on_virtual_clock if virtual else asyncio.run
    found: dict[str, Any] = {"limit": timing.limit}
    for name, schedule, chunk in (
        ("literal", Schedule(timing.samples, None), LITERAL),
        ("stream", Schedule(timing.samples, REACH, adaptive=True), STRIDE),
    ):
        found[name] = run(_written(timing, schedule, chunk))
        found[name]["share_of_limit"] = found[name]["tokens_per_s"] / timing.limit
    found["stream_over_literal"] = found["stream"]["tokens_per_s"] / found["literal"]["tokens_per_s"]
    return found


async def _written(timing: Timing, schedule: Schedule, chunk: int) -> dict[str, float]:
    clock, meters = asyncio.get_running_loop().time, Meters()
    renderer, script = cast(Renderer, _Words()), functools.partial(_rest, timing)
    device = asyncio.Lock() if timing.one_device else None
    beside = device if timing.predictors_beside else None
    predictors = {role: TimedPredictor(role, timing, beside) for role in ROLES}
    engines = {role: TimedEngine(script, timing.engine_ms, timing.begin, device) for role in ROLES}
    authors = {role: Author(role, engines[role], predictors[role], chunk) for role in ROLES}
    renderers = dict.fromkeys(ROLES, renderer)
    spec = Assignment("tessy", METHODS["tessy"], authors, renderers, "student", 2 * timing.tokens, 0, {})
    samples = samples_of(Problem(f"{n}", f"{n}") for n in range(timing.samples))
    began, first = clock(), list[dict[str, float]]()

    def on_done() -> None:
        if not first:
            seconds = clock() - began
            figures = _figures(meters, seconds, sum(p.busy_s for p in predictors.values()))
            steps = sum((engine.steps for engine in engines.values()), Counter[bool]())
            first.append(figures | {"steps_with_begins": steps[True] / steps.total()})

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        await write_all(samples, spec, journal, schedule, meters, on_done)
    return first[0]


def _figures(meters: Meters, seconds: float, busy_s: float) -> dict[str, float]:
    accepted = meters.accepted.total()
    return {
        "tokens_per_s": accepted / seconds,
        "generated_per_accepted": meters.generated / accepted,
        "tokens_per_request": accepted / meters.requests.total(),
        "tokens_per_look": accepted / meters.turns,
        "predictor_share": busy_s / seconds,
    }


class TimedEngine:
    """Writes what `script` says comes behind a prefix, a token each `step_ms` for all that is open."""

    def __init__(
        self,
        script: Callable[[Sequence[int]], Sequence[int]],
        step_ms: float,
        begin: Begin = Begin(),
        device: asyncio.Lock | None = None,
    ) -> None:
        self._device = device or asyncio.Lock()
        self._script, self._step_ms, self._begin = script, step_ms, begin
        self._waiting: dict[Continuation, tuple[list[int], int]] = {}
        self._queued: dict[Continuation, tuple[list[int], int]] = {}
        self._open: dict[Continuation, tuple[list[int], int]] = {}
        self._stepping: asyncio.Task[None] | None = None
        self.steps: Counter[bool] = Counter()
        """How many there were, by whether requests began."""

    def open(self, request: Request) -> Continuation:
        left = list(self._script(request.token_ids)[: request.max_tokens])[::-1]
        continuation = Continuation(lambda: self._close(continuation))
        self._waiting[continuation] = left, request.check_interval_tokens
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._step())
        return continuation

    def _close(self, continuation: Continuation) -> None:
        for held in (self._waiting, self._queued, self._open):
            held.pop(continuation, None)

    def _admit(self) -> int:
        """Have requests begin whose turn it is; how many do."""
        if not (self._open and self._begin.ahead):
            self._queued, self._waiting = self._queued | self._waiting, {}
        begun, self._queued, self._waiting = self._queued, self._waiting, {}
        self._open |= begun
        return len(begun)

    async def _step(self) -> None:
        given: dict[Continuation, list[int]] = {}
        while self._open or self._queued or self._waiting:
            begun = self._admit()
            more_ms = self._begin.step_ms * bool(begun) + self._begin.request_ms * begun
            self.steps[begun > 0] += 1
            batch = dict(self._open)
            async with self._device:
                await asyncio.sleep((self._step_ms + more_ms) / 1000)
            for continuation, (left, check_interval_tokens) in batch.items():
                if continuation not in self._open:
                    continue
                new = given.setdefault(continuation, [])
                new.append(left.pop())
                if finish := "stop" if new[-1] == END else None if left else "length":
                    del self._open[continuation]
                if finish or len(new) >= check_interval_tokens:
                    continuation.push(given.pop(continuation), cast(Any, finish))

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""

    async def stats(self) -> EngineStats:
        return EngineStats()

    async def close(self) -> None:
        """Nothing is held."""


class TimedPredictor:
    """Foreign to the student are words in upper case, to the teacher those in lower case."""

    def __init__(self, role: Role, timing: Timing, device: asyncio.Lock | None = None) -> None:
        self._device, self._rest = device or asyncio.Lock(), timing.rest
        self._foreign = str.isupper if role == "student" else str.islower
        self._pass_s, self._token_s = timing.predictor_ms / 1e3, timing.predictor_us_per_token / 1e6
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self._passing: asyncio.Task[None] | None = None
        self._rested_at = 0.0
        self.passes = Passes(timing.rest)
        self.busy_s = 0.0

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((chunk, done))
        if self._passing is None or self._passing.done():
            self._passing = asyncio.create_task(self._pass())
        await done
        starts = [at for at, character in enumerate(chunk) if character == " "]
        return [(at, self._foreign(chunk[at + 1 : at + 2])) for at in starts]

    async def _pass(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            # Whoever was answered may ask again before the next pass begins.
            await asyncio.sleep(max(0.0, self._rested_at - clock()))
            batch, self._waiting = self._waiting, []
            self.passes.began()
            tokens = sum(chunk.count(" ") for chunk, _ in batch)
            seconds = self._pass_s + self._token_s * tokens
            async with self._device:
                await asyncio.sleep(seconds)
            self.busy_s += seconds
            self._rested_at = clock() + self._rest * seconds
            more = bool(self._waiting)
            self.passes.ended(seconds, questions=len(batch), tokens=tokens, more=more)
            for _, done in batch:
                done.set_result(None)

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


class _Words(PlainRenderer):
    """A renderer whose ids are words: even ones the student's, odd ones the teacher's."""

    fingerprint = "words"

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        return [PROBLEM + int(prompt)]

    def encode(self, text: str) -> list[int]:
        return [_IDS[word] for word in text.split()]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [f" {_NAMES[token]}" for token in ids]


def _names() -> list[str]:
    letters = string.ascii_lowercase
    words = [a + b + c for a in letters for b in letters for c in letters][:WORDS]
    return [name for word in words for name in (word, word.upper())]


_NAMES = _names()
_IDS = {name: number for number, name in enumerate(_NAMES)}


@functools.cache
def _trace(problem: int, tokens: int, span_tokens: float) -> list[int]:
    """The thinking of one problem, its end, and an answer of one word."""
    rng, ids, author = random.Random(problem), list[int](), 0
    while len(ids) < tokens:
        length = 1 + int(rng.expovariate(1 / max(1e-9, span_tokens - 0.5)))
        ids += [2 * rng.randrange(WORDS) + author for _ in range(length)]
        author = 1 - author
    return [*ids, END, 0, END]


def _rest(timing: Timing, ids: Sequence[int]) -> list[int]:
    return _trace(ids[0] - PROBLEM, timing.tokens, timing.span_tokens)[len(ids) - 1 :]


class _Clock(selectors.SelectSelector):
    """Time passes only where everybody waits."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.now += timeout
        return super().select(None if timeout is None else 0)


def _on_virtual_clock(work: Coroutine[Any, Any, dict[str, float]]) -> dict[str, float]:
    clock = _Clock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
