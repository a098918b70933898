"""Workers as processes of this machine."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager

from tessy.cluster import Work, Workers, worker
from tessy.cluster.tending import Tending


class LocalExecutor:
    """Workers end with the process that has started them, however it ends."""

    here = True

    def start(self, work: Work) -> AbstractContextManager[Workers]:
        return Tending(
            work,
            lambda name: _Process(worker.start(name, work.folder, work.command, work.environment)),
        )


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def status(self) -> int | None:
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        if self.running:
            worker.end(self._process)
