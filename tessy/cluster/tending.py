"""Keeps the wanted number of workers alive, whatever places them; or watches those of a gang.

Not covered: what a broken gang does next (`train.launch`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, Self

from tessy.cluster import Broken, Work
from tessy.cluster.worker import refusal, tail
from tessy.errors import UserError

REFUSED = 2
"""The exit status of a command that refused its input."""
FAULTS_AT_MOST = 3
"""Faults of its own with which one worker is started anew."""
LOST_AT_MOST = 100
"""How often one worker may be lost to its machine (killed, preempted, node gone) before the stage gives up:
preemption is normal, a command that never comes up is not."""


class Placed(Protocol):
    """One worker that a cluster was asked for."""

    @property
    def status(self) -> int | None:
        """Its exit status; None while it waits or runs, negative where it was killed or its node is gone."""
        ...

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        ...

    def end(self) -> None:
        """End it and everything it has started; nothing where it has ended."""
        ...


@dataclass(slots=True)
class _Slot:
    name: str
    placed: Placed
    faults: int = 0
    lost: int = 0


class Tending:
    """The workers of `work`, each placed by `place(name)`; a context manager."""

    def __init__(self, work: Work, place: Callable[[str], Placed]) -> None:
        self._work, self._place = work, place
        self._slots: list[_Slot] = []
        self._through = 0
        self._refused: list[str] = []

    def __enter__(self) -> Self:
        try:
            for number in range(self._work.count):
                name = f"worker-{number}"
                self._slots.append(_Slot(name, self._place(name)))
        except BaseException:
            self._end_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end_all()

    def _end_all(self) -> None:
        """All at once: each may take seconds."""
        with ThreadPoolExecutor(max(1, len(self._slots))) as pool:
            list(pool.map(lambda slot: slot.placed.end(), self._slots))

    def check(self) -> None:
        statuses = [(slot, slot.placed.status) for slot in self._slots]
        ended = [(slot, status) for slot, status in statuses if status is not None]
        if self._work.gang and any(status for _, status in ended):
            raise Broken({slot.name: status for slot, status in ended if status})
        for slot, status in ended:
            self._conclude(slot, status)

    @property
    def finished(self) -> bool:
        return self._through == self._work.count

    def _conclude(self, slot: _Slot, status: int) -> None:
        folder = self._work.folder
        if status == 0:
            # It found no work that is left: whoever has claimed the rest is alive.
            self._slots.remove(slot)
            self._through += 1
            return
        if status == REFUSED and (message := refusal(slot.name, folder)):
            # It may be that machine: the others go on, and where none is left the input is to blame.
            self._slots.remove(slot)
            self._refused.append(message)
            if not self._slots and not self._through:
                raise UserError(message)
            return
        slot.faults += status > 0
        slot.lost += status < 0
        if slot.faults > FAULTS_AT_MOST or slot.lost > LOST_AT_MOST:
            raise RuntimeError(
                f"{self._work.name}: {slot.name} ended {slot.faults} times with a fault and was lost "
                f"{slot.lost} times, last with status {status}; the end of {folder / slot.name}.log:\n"
                f"{tail(slot.name, folder)}"
            )
        slot.placed = self._place(slot.name)

    def describe(self) -> str:
        """`6 of 8 workers`; those that found nothing left to do count as running."""
        running = self._through + sum(slot.placed.running for slot in self._slots)
        lost = sum(slot.faults + slot.lost for slot in self._slots)
        refused = f", {len(self._refused)} refused: {self._refused[0]}" if self._refused else ""
        return f"{running} of {self._work.count} workers{f' ({lost} lost)' if lost else ''}{refused}"
