"""Process 1 of a sandbox in which submissions run: loads modules, then is forked for each run."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping

from . import asserts, official, real
from .common import MODULES, PATH, code

PACKAGES = "/packages"
_LOADED = (*MODULES, "typing", "decimal", "fractions", "threading", "shutil", "subprocess", "traceback")


def main() -> None:
    archive, library, control = sys.path[0], *sys.argv[1:]
    sys.path[:] = [*(place for place in sys.path if place != archive), PACKAGES]
    for name in _LOADED:
        importlib.import_module(name)
    _load_numpy()
    room = ctypes.PyDLL(library).room
    room.restype = ctypes.POINTER(ctypes.c_char_p)
    gc.collect()
    gc.freeze()
    words = room(int(control))
    if not words:
        os._exit(0)
    _in_a_run(words)


def _load_numpy() -> None:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads must not be forked
    try:
        importlib.import_module("numpy")
    except ImportError:
        return


def _in_a_run(words: ctypes._Pointer[ctypes.c_char_p]) -> None:
    ctypes.pythonapi.PyOS_AfterFork_Child()
    given, at = [], 0
    while (word := words[at]) is not None:
        given.append(word.decode())
        at += 1
    sys.argv = [PATH]
    RUNS[given[0]](*given[1:])


def check() -> None:
    """Raise `SyntaxError` unless the submission is Python."""
    compile(code(), PATH, "exec", dont_inherit=True)


RUNS: Mapping[str, Callable[..., None]] = {
    "check": check,
    "program": real.program,
    "call": real.call,
    "official": official.run,
    "asserts": asserts.run,
}
