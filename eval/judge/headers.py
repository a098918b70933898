"""Precompiled headers: what most submissions include first, parsed once.

A compiler that finds one, made with its own flags, loads it in place of the header; otherwise it goes on to
the header itself. It makes the same binary either way. The judge makes it, in a sandbox of its own and from
nothing but the header's name; a compilation sees it read-only, as sealed memory. On disk it lies with the
built programs (`cache`), under the hash of all it was made from, and is used only if its own hash is right.

Not covered: other headers than `HEADERS`, and any but the first that a program includes.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eval.judge import cache
from eval.judge.records import CompileError
from eval.sandbox import SandboxError, Sealed

HEADERS = ("bits/stdc++.h", "iostream")
FOLDER = "/box/precompiled"
"""Where a compilation finds them, and nothing else; it is searched before the system's headers."""
_FIRST = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*<([^>\n]*)>", re.MULTILINE)
_WORTH = 3
"""Making one takes as long as a few compilations save, so it is made for the third that could use it."""

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Header:
    """A precompiled header, and the header itself, for what includes it twice or not first."""

    content: Sealed
    path: str


_lock = threading.Lock()
_made: dict[tuple[str, str], Header | None] = {}
_wanted: Counter[tuple[str, str]] = Counter()


def wanted(source: bytes) -> str | None:
    """The header that a program includes first, if it may be had precompiled."""
    found = _FIRST.search(source)
    name = found[1].decode(errors="replace") if found else None
    return name if name in HEADERS else None


def precompiled(header: str, compiler: str, make: Callable[[bytes], bytes]) -> Header | None:
    """The precompiled `header` for a compiler and its flags, which `compiler` names in full; None as long as
    it is not worth making, while another thread makes it, or where it cannot be made.

    `make` turns the source of a header into one that is precompiled.
    """
    key = (header, compiler)
    if not _lock.acquire(blocking=False):
        return None
    try:
        _wanted[key] += 1
        if key not in _made and _wanted[key] >= _WORTH:
            _made[key] = _kept(header, compiler, make)
        return _made.get(key)
    finally:
        _lock.release()


def _kept(header: str, compiler: str, make: Callable[[bytes], bytes]) -> Header | None:
    source = f"#include <{header}>\n".encode()
    try:
        inputs = _inputs(source)
        key = hashlib.sha256(repr((source, compiler, _hash(inputs))).encode()).hexdigest()
        data = memoryview(cache.get(key) or b"")
        content = data[_DIGEST:]
        if data[:_DIGEST] != hashlib.sha256(content).digest():
            content = memoryview(make(source))
            cache.put(key, hashlib.sha256(content).digest() + content)
        return Header(Sealed([content]), next(path for path in inputs if path.endswith(f"/{header}")))
    except (CompileError, SandboxError, OSError, StopIteration):
        return None  # without it everything takes longer, and nothing else


def _inputs(source: bytes) -> list[str]:
    """The paths of every header that `source` includes."""
    command = ["/usr/bin/g++", "-M", "-x", "c++", "-"]
    listed = subprocess.run(command, input=source, capture_output=True, check=False).stdout.decode()
    return [name for name in listed.replace("\\\n", " ").split() if name.startswith("/")]


def _hash(paths: list[str]) -> str:
    """What they hold, as an update of one must not go unseen."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.encode() + Path(path).read_bytes())
    return digest.hexdigest()
