"""The process from which stages are forked, so that they start with their libraries loaded.

Importing torch and transformers takes five to ten seconds of CPU time, more than the work of many small
stages. The modules that a kind of stage names are imported here before its first stage starts; later stages
start in milliseconds. This process only imports: it loads no model and starts no thread.

Where there is a GPU nothing is preloaded: CUDA does not survive a fork, and a library may initialise it when
imported; the seconds do not matter there.

Not covered: what a stage does (`tessy.runtime.job`), and which stages run (`tessy.runtime.run`).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tessy.processes import PARENT, die_with_parent, python_module
from tessy.runtime import job
from tessy.tracking import leave_parents_folders

MESSAGE = 1 << 16
GPU = Path("/dev/nvidiactl")
PR_SET_NAME = 15


class Event(NamedTuple):
    """The stage called `name` has started as process `pid`, or ended with `status` (as of `subprocess`)."""

    name: str
    pid: int
    status: int | None


class ForkServer:
    """The run's handle of the fork server. `close`, or the end of the run, ends all of its processes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                python_module("tessy.runtime.fork_server", str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                env=environment | {PARENT: str(os.getpid())},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fileno(self) -> int:
        return self._channel.fileno()

    def start(self, name: str, preload: Sequence[str], folder: Path, log: BinaryIO, progress: int) -> None:
        """Run the stage that `folder` describes; it prints to `log` and reports to the pipe `progress`.
        Modules named in `preload` are imported before it is forked.

        `event` tells whether that succeeded.
        """
        asked = json.dumps([name, list(preload), str(folder.absolute())]).encode()
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._channel, [asked], [log.fileno(), progress])

    def event(self) -> Event:
        """Wait for the next event; raises `EOFError` where the fork server was killed."""
        try:
            heard = self._channel.recv(MESSAGE)
        except ConnectionError:
            heard = b""
        if not heard:
            raise EOFError
        return Event(*json.loads(heard))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._channel.close()


def main() -> None:
    die_with_parent()
    with socket.socket(fileno=int(sys.argv[1])) as channel, selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not channel:
                    _tell_end(channel, selector, key)
                elif not _start(channel, selector):
                    return


def _tell_end(channel: socket.socket, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    name, pid = key.data
    selector.unregister(key.fileobj)
    os.close(key.fd)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    channel.send(json.dumps(Event(name, pid, status)).encode())


def _start(channel: socket.socket, selector: selectors.BaseSelector) -> bool:
    """Start the next stage; False when the run has ended, and in the stage's own process when it is done."""
    asked, descriptors, *_ = socket.recv_fds(channel, MESSAGE, 2)
    if not asked:
        return False
    name, preload, folder = json.loads(asked)
    log, progress = descriptors
    # Output of the imports goes to the log of the stage that needs them.
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for module in preload if not GPU.exists() else ():
        # The stage imports the same modules and reports the error.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        selector.close()
        channel.close()
        os.environ |= {PARENT: str(parent), job.PROGRESS_FD: str(progress)}
        _live(name, folder)
        return False
    os.setpgid(pid, pid)
    os.close(progress)
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (name, pid))
    channel.send(json.dumps(Event(name, pid, None)).encode())
    return True


def _live(name: str, folder: str) -> None:
    """Run the stage. It leads a process group of its own, so that all it starts can be ended with it."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15])
    sys.argv[1:] = [folder]
    leave_parents_folders()
    job.main()


if __name__ == "__main__":
    main()
