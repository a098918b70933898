"""How this project starts Python processes, so that the folder and the shell it is used in decide nothing.

`python -m MODULE` puts the current folder first on the module path: a `train.py` or `datasets.py` there would
stand in for ours or a library's. And in a locale without UTF-8 a process could neither print nor read what is
not ASCII.

Not covered: vLLM's guard, which runs without any path at all, and the programs of submissions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

INHERITED = {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
"""The same for the processes that a process of ours starts, torchrun's workers and vLLM's for example."""
ENCODING = "PYTHONIOENCODING"
"""Would give standard streams another encoding than everything else."""


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs the module `name`, ours or a library's, whatever lies in the current folder."""
    return [sys.executable, "-P", "-X", "utf8", "-m", name, *arguments]


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a process of ours and for all that it starts."""
    return {name: value for name, value in environment.items() if name != ENCODING} | INHERITED


def prepare() -> None:
    """Have all that this process starts given that environment; called once, where a command begins."""
    os.environ.pop(ENCODING, None)
    os.environ.update(INHERITED)
