"""Runs a command that must not outlive the process that started it, nor leave children behind.

`python -IS guard.py PARENT COMMAND...`: the kernel signals the guard when the process PARENT dies,
and the guard then ends the command's whole process group; it does the same on SIGTERM and when the
command ends. If the guard is killed, the command is killed, too. Standard library only, Linux only.

Not covered: children that leave the command's process group; children of a command whose guard was killed
itself, which the guard's starter can find by its session.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 10.0
"""Between asking the command to end and killing what is left of it."""


def main(parent: int, command: list[str]) -> int:
    """Run `command`; returns its exit status once its process group is gone."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, _stop)
    if os.getppid() != parent:
        return 1
    own = os.getpid()

    def die_along() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The guard may have died before the parent-death signal was set.
        if os.getppid() != own:
            os._exit(1)

    process = subprocess.Popen(command, process_group=0, preexec_fn=die_along)
    try:
        process.wait()
    except _Stopped:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _kill_group(process.pid)
    return process.wait()


class _Stopped(BaseException):
    """SIGTERM came."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stopped


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):
        os.killpg(group, signal.SIGKILL)
        # Orphans of the group have become this process's children.
        while True:
            os.waitpid(-group, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
