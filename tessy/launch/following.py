"""Waits for a job that was submitted, and shows its log meanwhile.

Not covered: what the job does; a job goes on when nobody follows it.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tessy.errors import UserError
from tessy.launch.submitting import ACTIVE, Cluster, State

POLL_S = 5.0
LAST_WORDS_S = 3.0
"""For the end of a log that is shown as it grows, once the job has ended."""
WHOLE_LOG_S = 60.0
"""For the log of a job that has ended before any of it was shown."""
FAILED_POLLS = 20
"""Polls in a row that may fail (a controller restarts, a network drops) before following ends."""


def follow(cluster: Cluster, job: str, say: Callable[[str], None], poll_s: float = POLL_S) -> State:
    """Show the log of `job` until it has ended; returns how. Raises `UserError` where the cluster cannot be
    asked any longer."""
    shown: subprocess.Popen[bytes] | None = None
    before: State | None = None
    try:
        while (state := _asked(cluster, job, poll_s)) in ACTIVE:
            if state != before:
                say(f"job {job}: {state}")
                before = state
            if state == "running" and (shown is None or shown.poll() is not None):
                with _undisturbed():
                    shown = _show(cluster.log(job, growing=True))
            time.sleep(poll_s)
        patience = LAST_WORDS_S if shown else WHOLE_LOG_S
        with _undisturbed():
            shown = shown or _show(cluster.log(job, growing=False))
        with suppress(subprocess.TimeoutExpired):
            shown.wait(patience)
        return state
    finally:
        if shown is not None:
            shown.terminate()
            shown.wait()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold a Ctrl-C back until what is being started is known to whoever ends it. To block the signal would
    not do: a thread that a library has started gets it then, and Python interrupts this one all the same."""
    held = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for number in held:
            signal.raise_signal(number)


def _show(command: list[str]) -> subprocess.Popen[bytes]:
    """Print what `command` prints. It is not there for a Ctrl-C, and its own messages are not shown: that a
    log is not there yet, for example."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _asked(cluster: Cluster, job: str, poll_s: float) -> State:
    """The job's state, asked again where the cluster does not answer."""
    for _ in range(FAILED_POLLS - 1):
        with suppress(UserError):
            return cluster.state(job)
        time.sleep(poll_s)
    return cluster.state(job)
