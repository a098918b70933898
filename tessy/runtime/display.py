"""The progress display of a run: a live table of bars in a terminal, plain lines where output is piped.

Every stage shows its progress, its rate, and its remaining time. Not covered: results (`tessy.report`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from tessy.runtime.reuse import Decision
from tessy.terminal import mark

LINE_EVERY = 10.0
"""Seconds between two progress lines of one stage where output is piped."""


@dataclass
class _Watched:
    """A running stage. `marks` are (time, done) pairs; the first and last give the rate."""

    started: float
    marks: list[tuple[float, float]] = field(default_factory=list)
    last_line: float = 0.0
    bar: TaskID | None = None


class Display:
    """Progress on `console`, live if it is a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._watched: dict[str, _Watched] = {}
        self._lost: dict[str, Sequence[str]] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        for stage, lost in self._lost.items():
            what = ", ".join(dict.fromkeys(lost))
            said = f"W&B lost {len(lost)} of {stage}'s records: {what}; its folder has them, its log says why"
            self.console.print(Text(said), soft_wrap=True)

    def plan(self, decisions: Sequence[Decision]) -> None:
        reused = sum(decision.action == "reuse" for decision in decisions)
        self.console.print(
            f"{len(decisions)} stages: {reused} reused, {len(decisions) - reused} to run", highlight=False
        )

    def started(self, stage: str) -> None:
        watched = self._watched[stage] = _Watched(time.monotonic(), last_line=time.monotonic())
        watched.bar = self._progress.add_task(stage, total=None, speed="")
        self._line(f"{stage}: started")

    def heard(self, stage: str, message: Mapping[str, Any]) -> None:
        watched = self._watched[stage]
        if "say" in message:
            self.console.print(Text(f"{stage}: {message['say']}"))
        if "lost" in message:
            self._lost[stage] = message["lost"]
        if "done" not in message:
            return
        now, done, total = time.monotonic(), message["done"], message["total"]
        if watched.marks and done < watched.marks[-1][1]:
            watched.marks.clear()  # The stage started to count something else.
        watched.marks.append((now, done))
        del watched.marks[1:-200]
        speed = _speed(watched.marks, total, message["unit"])
        speed += f"; {message['note']}" if message.get("note") else ""
        if watched.bar is not None:
            self._progress.update(watched.bar, completed=done, total=total, speed=speed)
        if now - watched.last_line >= LINE_EVERY:
            watched.last_line = now
            self._line(f"{stage}: {speed}")

    def said(self, text: str) -> None:
        """Print a line about the run."""
        self.console.print(Text(text), soft_wrap=True)

    def finished(self, stage: str) -> None:
        self._close(stage)
        seconds = time.monotonic() - self._watched[stage].started
        self.console.print(Text.assemble(self._mark(True), f"{stage}: done in {seconds:.0f} s"))

    def failed(self, stage: str) -> None:
        self._close(stage)
        self.console.print(Text.assemble(self._mark(False), f"{stage}: failed"))

    def refresh(self) -> None:
        """Print a line for stages that have not printed one for a while, without a terminal."""
        now = time.monotonic()
        for stage, watched in self._watched.items():
            if watched.bar is not None and now - watched.last_line >= 3 * LINE_EVERY:
                watched.last_line = now
                self._line(f"{stage}: working for {now - watched.started:.0f} s")

    def _mark(self, good: bool) -> tuple[str, str]:
        return mark(good, self.console.encoding)

    def _close(self, stage: str) -> None:
        bar, self._watched[stage].bar = self._watched[stage].bar, None
        if bar is not None:
            self._progress.remove_task(bar)

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(text), soft_wrap=True)


def _speed(marks: Sequence[tuple[float, float]], total: float, unit: str) -> str:
    (start, first), (now, done) = marks[0], marks[-1]
    text = f"{done:,.0f}/{total:,.0f} {unit}"
    if now <= start or done <= first:
        return text
    rate = (done - first) / (now - start)
    left = max(0.0, total - done) / rate
    return f"{text}, {rate:,.1f}/s, {int(left) // 60}:{int(left) % 60:02d} left"
