"""Waits for a job that was submitted, and shows its log meanwhile.

Not covered: what the job does; a job goes on when nobody follows it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from tessy.errors import UserError
from tessy.launch.submitting import ACTIVE, Cluster, State

POLL_S = 5.0
LAST_WORDS_S = 3.0
"""For the end of the log, once the job has ended."""
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
                shown = subprocess.Popen(
                    cluster.follow(job),
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            time.sleep(poll_s)
        if shown is None:
            shown = subprocess.Popen(
                cluster.follow(job),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        with suppress(subprocess.TimeoutExpired):
            shown.wait(LAST_WORDS_S)
        return state
    finally:
        if shown is not None:
            shown.terminate()
            shown.wait()


def _asked(cluster: Cluster, job: str, poll_s: float) -> State:
    for _ in range(FAILED_POLLS):
        try:
            return cluster.state(job)
        except UserError as error:
            last = error
            time.sleep(poll_s)
    raise last
