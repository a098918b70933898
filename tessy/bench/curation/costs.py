"""What a measurement costs: time of its steps, and memory of this process with all of its children."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EVERY_S = 0.25


class Clock:
    """Seconds by the clock and of processor time, all processes together, of one step after another."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}
        self._last = self._now()

    def passed(self, step: str) -> None:
        now = self._now()
        names = ("clock", "processor")
        self.seconds[step] = {
            name: round(b - a, 1) for name, a, b in zip(names, self._last, now, strict=True)
        }
        self._last = now

    @staticmethod
    def _now() -> tuple[float, float]:
        used = [resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)


class Memory:
    """Peaks in MiB: resident memory of this process and of its largest child, and the proportional set size
    of all together, which counts a page that several share once. The latter is looked at a few times a
    second."""

    def __init__(self) -> None:
        self._together = 0

    @property
    def peaks(self) -> dict[str, int]:
        kinds = {"main": resource.RUSAGE_SELF, "each worker": resource.RUSAGE_CHILDREN}
        found = {name: resource.getrusage(kind).ru_maxrss // 1024 for name, kind in kinds.items()}
        return {**found, "all, proportional": self._together // 1024}

    @contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_EVERY_S):
                self.look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.look()

    def look(self) -> None:
        self._together = max(self._together, sum(map(_proportional, _family(os.getpid()))))


def _family(process: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _proportional(process: int) -> int:
    """KiB; 0 for a process that has ended."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0
