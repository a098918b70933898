"""The Python that LiveCodeBench's submissions run in, loaded before they come, with the official packages.

It is the system's, which the sandbox shows anyway. Of the packages that the official judge's environment has
beside the standard library those are shown, read-only, that are installed here and fit that Python.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from eval.judge.harness.main import PACKAGES as _INSIDE
from eval.sandbox import Interpreter

PYTHON, PYPY = "/usr/bin/python3", "/usr/bin/pypy3"
_HARNESS = Path(__file__).with_name("harness")
_START = "from harness.{} import main\nmain()\n"
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy", "numpy.libs"),
    "scipy": ("scipy", "scipy.libs"),
    "sympy": ("sympy",),
    "mpmath": ("mpmath",),
    "networkx": ("networkx",),
    "pandas": ("pandas", "pandas.libs"),
    "python-dateutil": ("dateutil",),
    "six": ("six.py",),
}
"""What a submission can import officially, and the files and folders that make it up."""


@functools.cache
def interpreter() -> Interpreter:
    """It, with the packages there are."""
    shown = tuple((str(path), f"{_INSIDE}/{path.name}") for paths in _found().values() for path in paths)
    return Interpreter((PYTHON, "-I", "-B"), _archive("main"), shown)


@functools.cache
def pypy() -> Interpreter:
    """OJBench's, with its flags: no `site`, so no `exit` and `quit`."""
    return Interpreter((PYPY, "-BS"), _archive("plain"))


@functools.cache
def described() -> str:
    """Python and packages with their versions, for the record of a result."""
    done = subprocess.run([PYTHON, "--version"], capture_output=True, text=True)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _found()]
    return ", ".join([done.stdout.strip(), *(versions or ["no packages: not even numpy"])])


@functools.cache
def _found() -> Mapping[str, tuple[Path, ...]]:
    """Packages of this environment, if the system's Python loads what this one does and they can be read by
    anybody, as root judges as somebody else."""
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if sys.implementation.name != "cpython" or Path(PYTHON).resolve().name != ours:
        return {}
    found = {name: tuple(_places(parts)) for name, parts in PACKAGES.items()}
    return {name: paths for name, paths in found.items() if paths}


def _places(parts: tuple[str, ...]) -> Iterator[Path]:
    spec = importlib.util.find_spec(parts[0].removesuffix(".py"))
    if spec is None or spec.origin is None:
        return
    first = Path(spec.origin)
    folder = first.parent if first.name == parts[0] else first.parent.parent
    for part in parts:
        if (folder / part).exists() and _open_to_all(folder / part):
            yield folder / part


def _open_to_all(path: Path) -> bool:
    folders = [*path.parents, *([path] if path.is_dir() else [])]
    return os.geteuid() != 0 or all(folder.stat().st_mode & 0o005 == 0o005 for folder in folders)


def _archive(start: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("__main__.py", _START.format(start))
        for path in sorted(_HARNESS.glob("*.py")):
            archive.writestr(f"harness/{path.name}", path.read_bytes())
    return data.getvalue()
