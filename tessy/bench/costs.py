"""Where the processors' time goes while something is measured: this process, and every server below it; and
which processors these are.

Time is counted as the kernel counts it, user and system. Not covered: what the kernel does for nobody in
particular, and what a process does within itself.
"""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

SELF = "scheduler and predictors"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def processor_seconds(servers: Mapping[str, str]) -> dict[str, float]:
    """Seconds so far by who used them. `servers` are names by a word of the command that started each (its
    checkpoint): `NAME api` is the process with that command, `NAME engine` all below it."""
    seconds = defaultdict(float, {SELF: _seconds(psutil.Process())})
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            seconds[_name(process, servers)] += _seconds(process)
    return dict(seconds)


def microseconds_per_token(
    before: Mapping[str, float], after: Mapping[str, float], tokens: float
) -> dict[str, int]:
    """What was used in between, in microseconds per token, the largest first."""
    spent = {name: round((after[name] - before.get(name, 0)) / tokens * 1e6) for name in after}
    return {name: spent[name] for name in sorted(spent, key=spent.__getitem__, reverse=True) if spent[name]}


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _name(process: psutil.Process, servers: Mapping[str, str]) -> str:
    if (name := _asked_for(process, servers)) is not None:
        return f"{name} api"
    for above in process.parents():
        if (name := _asked_for(above, servers)) is not None:
            return f"{name} engine"
    return "other"


def _asked_for(process: psutil.Process, servers: Mapping[str, str]) -> str | None:
    # The guard above a server has the same words behind its own; it uses no time worth a name.
    words = " ".join(process.cmdline())
    return next((name for word, name in servers.items() if word in words), None)
