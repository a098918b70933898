"""Claims as files: to take a key is to create the file of its next number, which only one can.

Exclusive creation is atomic on local file systems, on NFS since version 3, and on those of clusters, with or
without locks. The file `KEY.NUMBER` holds its owner's name; nothing is ever written to it again, and it is
never removed before all work is done, so there is no moment at which two can believe that they have it.
Keys are spread over subfolders, because some file systems are slow with 100,000 files in one.

Not covered: file systems where a created file may stay invisible to others (object stores as folders).
"""

from __future__ import annotations

import hashlib
import math
import os
import time
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from tessy.claims import BEAT_S, LEASE_S
from tessy.claims.life import Life

CLAIMS = "claims"
SHARDS = 64
LONGEST = 200
"""Longest name of a file made from a key; longer keys are hashed."""


class FileClaims:
    """The claims in `folder`, which is made if there is none, as a new owner sees them."""

    def __init__(self, folder: Path) -> None:
        (folder / CLAIMS).mkdir(parents=True, exist_ok=True)
        self.owner = uuid.uuid4().hex[:12]
        self._folder = folder
        self._known: dict[str, tuple[str, int]] = {}
        self._made: set[Path] = set()
        self._listed: set[str] = set()
        self._listed_at: dict[Path, float] = {}
        self._life = Life(folder, self.owner)

    def take(self, key: str) -> int | None:
        name = _name(key)
        if name in self._listed:
            # Taken when its folder was listed: who has it is asked when the caller comes back to it.
            self._listed.discard(name)
            return None
        holder, number = self._known.get(key, ("", 0))
        while not holder or not self._life.alive(holder):
            number += 1
            if self._create(path := self._path(name, number)):
                self._known[key] = self.owner, number
                return number
            self._list(path.parent, name)
            if (found := self._holder(path)) is None:
                return None
            holder = found
            self._known[key] = holder, number
        return None

    def holds(self, key: str) -> bool:
        holder, number = self._known.get(key, ("", 0))
        return holder == self.owner and not self._path(_name(key), number + 1).exists()

    def alive(self, owner: str) -> bool:
        return self._life.alive(owner)

    def show(self, state: Mapping[str, float | int | str]) -> None:
        self._life.show(state)

    def close(self) -> None:
        self._life.close()

    def _create(self, path: Path) -> bool:
        if path.parent not in self._made:
            path.parent.mkdir(exist_ok=True)
            self._made.add(path.parent)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(file, self.owner.encode())
        except OSError:
            # Nobody's, as the disk is full: it is not to look like a claim.
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        return True

    def _list(self, shard: Path, found: str) -> None:
        """Note what others have taken there besides `found`: one listing in place of a question for each."""
        if time.monotonic() - self._listed_at.get(shard, -math.inf) < BEAT_S:
            return
        self._listed_at[shard] = time.monotonic()
        names = {entry.rpartition(".")[0] for entry in os.listdir(shard)}
        self._listed |= names - {found, *map(_name, self._known)}

    def _holder(self, path: Path) -> str | None:
        """Who has created `path`; None where that will be known later. A file without a name is one whose
        owner is about to write it, or died before it could: after a while it is nobody's."""
        if name := path.read_text():
            return name
        return None if self._life.age(path) < LEASE_S else "nobody"

    def _path(self, name: str, number: int) -> Path:
        return self._folder / CLAIMS / f"{zlib.crc32(name.encode()) % SHARDS:02x}" / f"{name}.{number}"


def _name(key: str) -> str:
    """The key as it appears in names of files."""
    name = quote(key, safe="")
    return name if len(name) <= LONGEST else hashlib.sha256(key.encode()).hexdigest()


def first_wins(path: Path, text: str) -> str:
    """What `path` holds for good: `text` for the first of several processes that call this, and what that one
    gave for all others."""
    own = path.with_name(f".{uuid.uuid4().hex}")
    own.write_text(text, encoding="utf-8")
    try:
        # A link appears with its content, where creating and writing are two steps.
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:  # no hard links here
        if not path.exists():
            os.replace(own, path)
    finally:
        own.unlink(missing_ok=True)
    return path.read_text(encoding="utf-8")
