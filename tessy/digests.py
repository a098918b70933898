"""Content digests of files and folders that a recipe names, independent of their path and age.

Every byte counts, so a checkpoint that was retrained in place gets another digest. Unchanged files are not
read again: digests are kept in the user's cache folder, by device, inode, size and times.

Not covered: changes that keep a file's size and all of its times.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from tessy.artifacts import file_digest, fingerprint, write_json

LARGE = 1 << 20
"""Bytes from which on it pays to remember a digest."""


def content_digest(path: Path) -> str | None:
    """The digest of a file or folder; None where there is none."""
    if not path.exists():
        return None
    with _Known() as known:
        if path.is_file():
            return known.digest(path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return fingerprint([[str(file.relative_to(path)), known.digest(file)] for file in files])


class _Known:
    """Cached digests of large files, keyed by what shows that they are unchanged; saved on exit."""

    def __init__(self) -> None:
        self._place = cache_folder() / "digests.json"
        self._digests: dict[str, str] = {}
        self._new = False

    def __enter__(self) -> _Known:
        with suppress(OSError, ValueError):
            self._digests = json.loads(self._place.read_text(encoding="utf-8"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._new:
            # The cache is optional: without write access, files are read again.
            with suppress(OSError):
                write_json(self._place, self._digests)

    def digest(self, path: Path) -> str:
        state = path.stat()
        if state.st_size < LARGE:
            return file_digest(path)
        key = f"{state.st_dev}/{state.st_ino}/{state.st_size}/{state.st_mtime_ns}/{state.st_ctime_ns}"
        if key not in self._digests:
            self._digests[key] = file_digest(path)
            self._new = True
        return self._digests[key]


def cache_folder() -> Path:
    """This project's cache folder of the user; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "tessy"
