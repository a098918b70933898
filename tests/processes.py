"""Everything a process started, however far down: to see that nothing of it is left."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Living processes below `pid`, parents before their children."""
    living = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    parents = {child: above for child in living if (above := parent(child)) is not None}
    found = [pid]
    for one in found:
        found += [child for child, above in parents.items() if above == one]
    return found[1:]


def parent(pid: int) -> int | None:
    """The parent of `pid`; None where it has ended, reaped or not."""
    try:
        state, above = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(above)


def grows_to(pid: int, count: int) -> list[int]:
    """The descendants of `pid`, once there are `count` of them."""
    deadline = time.monotonic() + 10
    while len(family := descendants(pid)) < count:
        assert time.monotonic() < deadline, f"only {len(family)} processes"
        time.sleep(0.02)
    return family


def end(pids: Collection[int], within_s: float = 10) -> bool:
    """Whether all of `pids` are soon no more."""
    deadline = time.monotonic() + within_s
    while any(parent(pid) is not None for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
