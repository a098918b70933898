"""Built programs, kept on disk by the hash of what they were built from.

Below `$XDG_CACHE_HOME/tessy/programs` (else `~/.cache`), at most `LIMIT` bytes: now and then the least
recently used are removed until three quarters are left. Processes may share it; deleting it costs time and
nothing else.
Not covered: trust. Who can write there can forge binaries, so it lies in the user's own home.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from eval.judge.records import MIB
from eval.sandbox.helper import cache_dir, keep

LIMIT = 2048 * MIB
_PUTS_PER_PRUNING = 64
"""So that listing the folder, a few milliseconds per thousand programs, stays small beside compiling."""
_puts = itertools.count()


def get(key: str) -> bytes | None:
    """What is kept under `key`, which counts as a use; None where there is nothing readable."""
    path = _folder() / key
    try:
        data = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    return data


def put(key: str, data: bytes) -> None:
    """Keep `data`; a cache that cannot be written is no error."""
    keep(_folder() / key, data)
    if next(_puts) % _PUTS_PER_PRUNING == 0:
        prune(_folder(), LIMIT)


def prune(folder: Path, limit: int) -> None:
    """Where files of `folder` exceed `limit` bytes, remove the least recently used down to 3/4 of that."""
    known = []
    if not folder.is_dir():  # nothing could be kept
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue  # another process is pruning, too
            known.append((status.st_mtime_ns, status.st_size, entry.path))
    total = sum(size for _, size, _ in known)
    if total <= limit:
        return
    for _, size, path in sorted(known):
        if total <= limit * 3 // 4:
            return
        Path(path).unlink(missing_ok=True)
        total -= size


def _folder() -> Path:
    return cache_dir() / "programs"
