"""Problems, each loaded once for the submissions that share it: unpacked, or its archive's index read.

Those used last are kept. What one holds, disk and descriptors, is given back when it is neither kept nor
judged by any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from eval.judge.records import JudgeProblem


class Loaded:
    """Problems by id, at most `kept` at a time; safe to share between threads."""

    def __init__(self, load: Callable[[str], JudgeProblem], kept: int) -> None:
        self._load, self._kept = load, kept
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}

    def __getitem__(self, problem_id: str) -> JudgeProblem:
        """The problem; raises what loading it raises, and then the next to ask for it tries again."""
        with self._lock:
            slot = self._slots.pop(problem_id) if problem_id in self._slots else _Slot()
            self._slots[problem_id] = slot
            for old in list(self._slots)[: -self._kept]:
                del self._slots[old]
        with slot.lock:
            if slot.problem is None:
                slot.problem = self._load(problem_id)
            return slot.problem


class _Slot:
    """A place for a problem, and a lock for who loads it: the others wait, rather than load it, too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.problem: JudgeProblem | None = None
