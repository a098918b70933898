"""Following a job leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tessy.launch.following import follow
from tessy.launch.submitting import State
from tests.cluster_tools import wait_for


class Interrupted:
    """A cluster whose log is read by a process without an end. When it is asked for, Ctrl-C reaches a thread
    of some library first, as it may in any process that has several."""

    def __init__(self, reader: Path, thread: threading.Thread) -> None:
        self.reader, self._thread, self.answered = reader, thread, False

    def state(self, job: str) -> State:
        return "running"

    def log(self, job: str, *, growing: bool) -> list[str]:
        assert self._thread.ident is not None
        signal.pthread_kill(self._thread.ident, signal.SIGINT)
        for _ in range(1000):
            pass
        self.answered = True
        return ["sh", "-c", 'echo $$ >"$0"; exec sleep 1000', str(self.reader)]

    def submit(self, file: Path) -> str:
        raise NotImplementedError

    def cancel(self, job: str) -> str:
        raise NotImplementedError


def test_ctrl_c_that_a_thread_receives_leaves_no_reader_behind(tmp_path: Path) -> None:
    # What a shell starts in the background takes no notice of Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    cluster = Interrupted(tmp_path / "reader", thread)
    try:
        with pytest.raises(KeyboardInterrupt):
            follow(cluster, "41", lambda _: None, poll_s=60)
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        thread.join()
    assert cluster.answered, "interrupted before the reader that it starts is known"
    wait_for(lambda: not cluster.reader.exists() or not running(int(cluster.reader.read_text() or 0)))


def running(process: int) -> bool:
    return (
        process > 0
        and subprocess.run(["kill", "-0", str(process)], stderr=subprocess.DEVNULL).returncode == 0
    )
