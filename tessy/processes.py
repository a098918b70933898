"""Starts Python processes independently of the current folder and the locale, and ends them with their
parent.

`python -m MODULE` puts the current folder first on the module path: a `train.py` or `datasets.py` there would
shadow ours or a library's. And in a locale without UTF-8 a process could neither print nor read non-ASCII
text.

Not covered: the guard of vLLM servers, which runs without a module path, and the programs of submissions.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

INHERITED = {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "TOKENIZERS_PARALLELISM": "false"}
"""The same for the processes that a process of ours starts, torchrun's workers and vLLM's for example.
Tokenizers start no threads of their own, as our processes share work out themselves and may fork."""
PARENT = "TESSY_PARENT"
"""The environment variable that names a process's parent."""
PR_SET_PDEATHSIG = 1
ENCODING = "PYTHONIOENCODING"
"""Would give standard streams another encoding than everything else."""


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs the module `name`, which no file in the current folder can shadow."""
    return [sys.executable, "-P", "-X", "utf8", "-m", name, *arguments]


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the settings for a process of ours and all that it starts."""
    return {name: value for name, value in environment.items() if name != ENCODING} | INHERITED


def prepare() -> None:
    """Set that environment for all processes that this one starts; called once, at the start of a command."""
    os.environ.pop(ENCODING, None)
    os.environ.update(INHERITED)


def with_parent() -> dict[str, str]:
    """An environment for a child process that calls `die_with_parent`; its parent is this process."""
    return {**os.environ, PARENT: str(os.getpid())}


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies. If the environment names the parent
    (`with_parent`), this also holds if the parent died before this call."""
    parent = int(os.environ.pop(PARENT, os.getppid()))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def end_in_order() -> None:
    """Turn SIGTERM into an exception, so that a process stops what it started before it ends."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
