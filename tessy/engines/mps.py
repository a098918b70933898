"""NVIDIA's Multi-Process Service: kernels of several processes run on one GPU at the same time, not by turns.

What starts while `multi_process_service` is open, and all that it starts, shares GPUs through a daemon of
its own. Needs a driver's `nvidia-cuda-mps-control`, and that no other daemon serves this user's processes
on these GPUs.

Not covered: limits on each process's share of a GPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessy.errors import UserError

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
PATIENCE_S = 30.0


@contextmanager
def multi_process_service() -> Iterator[None]:
    """Start the daemon; end it at the close, when whoever uses it should have ended. Raises `UserError`
    where it is missing or does not start. Where the environment names a daemon already, that one is
    used."""
    if PIPES in os.environ:
        yield
        return
    if shutil.which(CONTROL) is None:
        raise UserError(
            f"mps: {CONTROL} is not on the PATH; it comes with NVIDIA's driver (in a container, with its "
            "utilities). Leave mps out to let processes take turns on the GPU"
        )
    # Sockets' paths may have 107 bytes, so that the folder is nobody's but near.
    with tempfile.TemporaryDirectory(prefix="mps-", dir="/tmp") as folder:
        places = {PIPES: f"{folder}/pipes", LOGS: f"{folder}/logs"}
        for place in places.values():
            Path(place).mkdir()
        os.environ.update(places)
        try:
            started = _said(CONTROL, "-d")
            if started.returncode:
                raise UserError(
                    f"mps: {CONTROL} -d ended with status {started.returncode}: "
                    f"{(started.stderr or started.stdout).strip()[:500]}; leave mps out, or start the daemon "
                    f"yourself and set {PIPES}"
                )
            try:
                yield
            finally:
                _said(CONTROL, given="quit\n")
        finally:
            for name in places:
                os.environ.pop(name, None)


def _said(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
