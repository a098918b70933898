"""Runs a stage that several workers share in a process of its own, as a run does, and keeps its journals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tessy.jsonl import whole_lines
from tessy.runtime.job import PROGRESS_FD, WORK
from tessy.runtime.run import environment

ROOT = Path(__file__).parent.parent
MODULES = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
"""Where a stage of a test and its workers find modules."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage under way in `folder`. `kept` has hard links to its journals' files, which outlive them."""

    folder: Path
    kept: Path
    process: subprocess.Popen[bytes]

    @property
    def done(self) -> list[str]:
        """What the journals say is done, in no order; what was done twice is there twice."""
        self.keep()
        return [line.row["sample_id"] for path in self.files("done") for line in whole_lines(path)]

    def files(self, kind: str) -> list[Path]:
        return sorted(self.kept.rglob(f"{kind}-*.jsonl"))

    @property
    def journals(self) -> list[Path]:
        return sorted((self.folder / WORK).glob("*.journal"))

    def keep(self) -> None:
        with suppress(FileNotFoundError):  # the stage removes its journals when it is finished
            for journal in self.journals:
                (self.kept / journal.name).mkdir(exist_ok=True)
                for path in [*journal.glob("done-*.jsonl"), *journal.glob("turns-*.jsonl")]:
                    with suppress(FileExistsError, FileNotFoundError):
                        os.link(path, self.kept / journal.name / path.name)

    def reaches(self, count: int, within_s: float = 90) -> None:
        """Return when so many are done."""
        deadline = time.monotonic() + within_s
        while len(self.done) < count:
            assert self.process.poll() is None, (
                f"ended with {self.process.returncode}: {self.messages()[-3:]}"
            )
            assert time.monotonic() < deadline, f"only {len(self.done)}: {self.messages()[-3:]}"
            time.sleep(0.02)

    def messages(self) -> list[dict[str, object]]:
        """What the stage has reported so far."""
        return [json.loads(line) for line in (self.kept / "messages").read_text().splitlines()]

    def finished(self, within_s: float = 120) -> Path:
        """The finished artifact."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None:
            self.keep()
            assert time.monotonic() < deadline, f"{len(self.done)} done: {self.messages()[-3:]}"
            time.sleep(0.02)
        assert self.process.returncode == 0, (self.messages()[-3:], (self.kept / "log").read_text()[-3000:])
        return self.folder.with_suffix("")


@contextmanager
def started(folder: Path) -> Iterator[Stage]:
    """The stage in `folder` (named *.partial), begun or gone on with."""
    (kept := folder.with_suffix(".kept")).mkdir(exist_ok=True)
    with (kept / "messages").open("wb") as messages, (kept / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tessy.runtime.job", str(folder)],
            env={**environment(threads=1), "PYTHONPATH": MODULES, PROGRESS_FD: str(messages.fileno())},
            pass_fds=[messages.fileno()],
            stdout=log,
            stderr=log,
        )
    try:
        yield Stage(folder, kept, process)
    finally:
        process.kill()
        process.wait()
