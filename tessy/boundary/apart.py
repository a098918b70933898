"""A trained boundary predictor in a process of its own, for a GPU: nobody's event loop waits for it.

The process takes in whatever was asked meanwhile as soon as a pass is over, and prepares it while the next
pass runs; what is asked of one trace is answered in order. Both ends write JSON, one message a line:

    [[number, sample id, text accepted since the last question, chunk], ..., [sample id of one to forget]]
    {"answers": [[number, [[offset in the chunk, whether foreign], ...]], ...], "busy_s": s, "tokens_read": n}

It ends when its standard input does, and so with the process that started it. Not covered: starting it again
when it dies; whoever waits for it is told, and the run goes on from its journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.passes import Passes
from tessy.boundary.reading import Question, Reader, Readings
from tessy.errors import UserError
from tessy.processes import python_module
from tessy.records import Role

LINE_BYTES = 1 << 26
LOOK_S = 1e-4
"""Between two looks at a running pass."""
REST = 19.0
"""How long a predictor that shares its device with the models rests after a pass, in passes: both predictors
together then take a tenth of the time, and the engines get on (`tessy/bench/README.md`)."""
Answer = list[tuple[int, bool]]


class ApartPredictor:
    """The end that asks; made by `apart`."""

    def __init__(self, source: str, process: asyncio.subprocess.Process, rest: float) -> None:
        self.busy_s, self.tokens_read = 0.0, 0
        self._source, self.process = source, process
        self._ended: UserError | None = None
        self.passes = Passes(rest)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._told: dict[str, int] = {}
        self._outbox: list[list[Any]] = []
        self._number = 0

    async def foreign(self, sample_id: str, context: str, chunk: str) -> Answer:
        """As `tessy.boundary.Predictor` has it."""
        if self._ended is not None:
            raise self._ended
        loop = asyncio.get_running_loop()
        done = self._waiting[self._number] = loop.create_future()
        new = context[self._told.get(sample_id, 0) :]
        self._told[sample_id] = len(context)
        self._send([self._number, sample_id, new, chunk])
        self._number += 1
        return await done

    def release(self, sample_id: str) -> None:
        """Forget a trace that is complete."""
        if self._told.pop(sample_id, None) is not None:
            self._send([sample_id])

    def _send(self, order: list[Any]) -> None:
        """With all that is asked in this pass of the event loop."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(order)

    def _flush(self) -> None:
        orders, self._outbox = self._outbox, []
        if any(len(order) > 1 for order in orders):  # the others are not answered
            self.passes.began()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(orders).encode() + b"\n")

    async def listen(self) -> None:
        """Pass answers on until there are no more; then tell those who wait."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            seconds = message["busy_s"] - self.busy_s
            tokens = message["tokens_read"] - self.tokens_read
            self.busy_s, self.tokens_read = message["busy_s"], message["tokens_read"]
            for number, answer in message["answers"]:
                done = self._waiting.pop(number)
                if not done.done():
                    done.set_result([(offset, foreign) for offset, foreign in answer])
            questions, more = len(message["answers"]), bool(self._waiting)
            self.passes.ended(seconds, questions=questions, tokens=tokens, more=more)
        status = await self.process.wait()
        self._ended = UserError(f"predictor {self._source}: its process ended with {status}")
        for done in self._waiting.values():
            if not done.done():
                done.set_exception(self._ended)
        self.passes.ended(0.0, questions=0, tokens=0, more=False)


@asynccontextmanager
async def apart(
    source: str, role: Role, window_tokens: int, *, rest: float = 0.0, **settings: Any
) -> AsyncIterator[ApartPredictor]:
    """The predictor at `source`, ready; `settings` are JSON values for `_desk`. Its process ends with this.

    After each pass it rests for `rest` times as long as that took, and leaves a shared device to the engines.
    Raises `UserError` where it cannot start; the reason is on standard error.
    """
    spec = {"source": source, "role": role, "window_tokens": window_tokens, "rest": rest, **settings}
    process = await asyncio.create_subprocess_exec(
        *python_module("tessy.boundary.apart", json.dumps(spec)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            status = await process.wait()
            raise UserError(f"predictor {source}: its process ended with {status} while it loaded; see above")
        predictor = ApartPredictor(source, process, rest)
        listening = asyncio.create_task(predictor.listen())
        try:
            yield predictor
        finally:
            listening.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Desk:
    """The end that answers: takes orders, prepares them, and lets `reader` pass over all that are ready."""

    def __init__(self, readings: Readings, reader: Reader, foreign: Callable[[float], bool]) -> None:
        self._readings, self._reader, self._foreign = readings, reader, foreign
        self._orders: deque[list[Any]] = deque()
        self._contexts: dict[str, str] = {}
        self._active: dict[str, tuple[int, Question]] = {}
        self.busy_s = 0.0

    @property
    def idle(self) -> bool:
        return not self._active and not self._orders

    def take(self, orders: list[list[Any]]) -> None:
        """Orders as they came; those of a trace that is being judged wait for that."""
        self._orders += orders
        later, held = deque[list[Any]](), set(self._active)
        while self._orders:
            order = self._orders.popleft()
            sample_id = order[0] if len(order) == 1 else order[1]
            if sample_id in held:
                later.append(order)
            elif len(order) == 1:
                self._contexts.pop(sample_id, None)
                self._readings.release(sample_id)
            else:
                self._begin(*order)
                held.add(sample_id)
        self._orders = later

    def _begin(self, number: int, sample_id: str, new: str, chunk: str) -> None:
        context = self._contexts[sample_id] = self._contexts.get(sample_id, "") + new
        self._active[sample_id] = number, self._readings.ask(sample_id, context, chunk)

    def turn(self, meanwhile: Callable[[], None]) -> list[tuple[int, Answer]]:
        """One pass for all that are ready, and the answers it completes; until it is over, `meanwhile`."""
        questions = [question for _, question in self._active.values() if question.stretches]
        if questions:
            began = time.perf_counter()
            flight, take_down = self._readings.launch(self._reader, questions)
            while not flight.ready():
                meanwhile()
            take_down()
            self.busy_s += time.perf_counter() - began
        done = [name for name, (_, question) in self._active.items() if not question.stretches]
        answers = [self._answer(name) for name in done]
        self.take([])
        return answers

    def _answer(self, sample_id: str) -> tuple[int, Answer]:
        number, question = self._active.pop(sample_id)
        return number, [(offset, self._foreign(style)) for offset, style in question.answer()]

    @property
    def tokens_read(self) -> int:
        return self._readings.tokens_read


def _desk(
    source: str,
    role: Role,
    window_tokens: int,
    *,
    slots: int,
    device: str,
    dtype: str,
    revision: str | None = None,
    threshold: float | None = None,
) -> Desk:
    """A desk as `tessy.boundary.predictor.BoundaryPredictor` would decide, with the reader for its device."""
    import torch

    from tessy.boundary.graphs import GraphReader
    from tessy.boundary.operating_point import operating_point
    from tessy.boundary.predictor import SlotReader, load_classifier

    if device == "cpu":
        # The cores are the engines'.
        torch.set_num_threads(1)
    tokenizer, model = load_classifier(source, window_tokens, revision, getattr(torch, dtype), device)
    cut = operating_point(source, window_tokens, revision=revision, threshold=threshold).threshold
    reader: Reader
    if device == "cpu":
        reader = SlotReader(model, slots, window_tokens)
    else:
        reader = GraphReader(model, slots, window_tokens)
    wanted = FOREIGN_LABEL[role]
    return Desk(Readings(tokenizer, window_tokens, slots), reader, lambda style: int(style > cut) == wanted)


def main() -> None:
    # Nothing but answers may go to the pipe that is read.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spec = json.loads(sys.argv[1])
    rest = spec.pop("rest")
    desk = _desk(**spec)
    inbox: queue.SimpleQueue[list[list[Any]] | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(inbox,), daemon=True).start()

    def send(message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    def take(timeout: float | None) -> None:
        try:
            orders = inbox.get(timeout=timeout) if timeout != 0 else inbox.get_nowait()
        except queue.Empty:
            return
        if orders is None:
            # Nobody is left to be answered; torch would take its time to go.
            os._exit(0)
        desk.take(orders)

    send({"ready": True})
    while True:
        take(None if desk.idle else 0)
        while not inbox.empty():
            take(0)
        busy_s = desk.busy_s
        if found := desk.turn(lambda: take(LOOK_S)):
            send({"answers": found, "busy_s": desk.busy_s, "tokens_read": desk.tokens_read})
        until = time.perf_counter() + rest * (desk.busy_s - busy_s)
        while (left := until - time.perf_counter()) > 0:
            take(left)


def _receive(inbox: queue.SimpleQueue[list[list[Any]] | None]) -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(None)


if __name__ == "__main__":
    main()
