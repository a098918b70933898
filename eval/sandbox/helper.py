"""Builds `init.c` once per machine and user, and keeps it in memory while the process lives."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eval.sandbox.files import Sealed

_SOURCE = Path(__file__).with_name("init.c")


def cache_dir() -> Path:
    """Where built things are kept between runs: `$XDG_CACHE_HOME/tessy`, else `~/.cache/tessy`.

    Without a home this is a place where nothing can be kept, and nobody else can put anything.
    """
    home = os.path.expanduser("~")
    usual = os.path.join(home, ".cache") if os.path.isabs(home) else os.devnull
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "tessy"


@functools.cache
def init() -> Sealed:
    """The built helper. Raises `OSError` naming what is missing or went wrong."""
    # Static starts faster, but not every system has a static C library.
    return Sealed(_built("init", (["-static"], [])))


@functools.cache
def library() -> Sealed:
    """The helper as a library, for a sandbox whose process 1 is an interpreter. Raises `OSError` likewise."""
    return Sealed(_built("library", (["-shared", "-fPIC", "-DLIBRARY"],)))


def _built(name: str, choices: Sequence[list[str]]) -> bytes:
    source = _SOURCE.read_bytes() + _SOURCE.with_name("filter.h").read_bytes() + repr(choices).encode()
    kept = cache_dir() / f"sandbox-{name}-{os.uname().machine}-{hashlib.sha256(source).hexdigest()[:16]}"
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        binary = _build(choices)
    except OSError:
        return _build(choices)
    keep(kept, binary)
    return binary


def keep(path: Path, data: bytes) -> None:
    """Write to the cache in one step; a cache that cannot be written is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except OSError:
        return


def _build(choices: Sequence[list[str]]) -> bytes:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "g++"))), None)
    if compiler is None:
        raise OSError("no C compiler found to build the sandbox's helper")
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "init")
        command = [compiler, "-O2", "-x", "c", str(_SOURCE), "-o", target]
        for extra in choices:
            done = subprocess.run([*command, *extra], capture_output=True, text=True)
            if done.returncode == 0:
                return Path(target).read_bytes()
    raise OSError(f"the sandbox's helper does not build: {done.stderr.strip()[-400:]}")
