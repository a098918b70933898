"""Process 1 of a sandbox in which submissions run: loads modules, then is forked for each run."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping

from . import asserts, official, real
from .common import MODULES, PATH, code
from .plain import as_its_own, wait

PACKAGES = "/packages"
_LOADED = (
    *MODULES, "typing", "decimal", "fractions", "threading", "shutil", "subprocess", "traceback",
    "multiprocessing.managers", "concurrent.futures.process",
)  # fmt: skip
"""With what cannot be loaded any more once `official` has taken names away."""


def main() -> None:
    archive, library, control = sys.path[0], *sys.argv[1:]
    sys.path[:] = [*(place for place in sys.path if place != archive), PACKAGES]
    for name in _LOADED:
        importlib.import_module(name)
    unloaded = _load_numpy()
    gc.collect()
    gc.freeze()
    what, *given = wait(library, control)
    if what == "numpy":
        print(unloaded)
        return
    sys.argv = [PATH]
    as_its_own(PATH, lambda: RUNS[what](*given))


def _load_numpy() -> str:
    """Why it is not there; empty if it is."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads must not be forked
    try:
        importlib.import_module("numpy")
    except ImportError as error:
        return str(error)
    return ""


def check(_: str = PATH) -> None:
    """Raise `SyntaxError` unless the submission is Python."""
    compile(code(), PATH, "exec", dont_inherit=True)


RUNS: Mapping[str, Callable[..., None]] = {
    "check": check,
    "program": real.program,
    "call": real.call,
    "official": official.run,
    "asserts": asserts.run,
}
