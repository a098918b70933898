"""Finds everything that a process started, however far down, by a mark in its environment."""

from __future__ import annotations

import time
from pathlib import Path

MARK = "TESSY_TEST_MARK"


def marked(mark: str) -> list[int]:
    """Processes that inherited `mark`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def becomes(mark: str, count: int, within_s: float = 10) -> bool:
    """Whether soon `count` processes have `mark`."""
    deadline = time.monotonic() + within_s
    while len(marked(mark)) != count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
