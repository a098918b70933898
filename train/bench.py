"""What `make bench ONLY=training` measures: the miniature student's training, in a process of its own.

A process of its own because peak memory is measured per process.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tessy.processes import python_module

TOKENS, ROWS, STEPS = 160, 16, 30
"""About the miniature recipe's: length of a trajectory, global batch, and enough steps to last seconds."""


def measure() -> dict[str, Any]:
    """`tokens_per_s` and `peak_mib` of training the miniature student; raises `CalledProcessError`."""
    sizes = {"tokens": TOKENS, "rows": ROWS, "steps": STEPS}
    options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    command = python_module("train.probe", "--model", "mini", *options)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {key: found[key] for key in ("tokens_per_s", "peak_mib")}
