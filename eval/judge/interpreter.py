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
from eval.sandbox import Interpreter, Limits, SandboxError, run, scratch
from eval.sandbox.files import read_all

PYTHON, PYPY = "/usr/bin/python3", "/usr/bin/pypy3"
PYPY_ENVIRONMENT = {"PYPY_GC_NURSERY": "4M"}
"""PyPy takes half of the cache that /proc/cpuinfo names for new objects before it frees any: 240 MiB where
that is 480, of a memory limit that may be smaller. So that verdicts do not depend on the processor, it takes
what it takes where no large cache is named, as on AMD's."""
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
    "tqdm": ("tqdm",),
    "attrs": ("attr", "attrs"),
    "typing-extensions": ("typing_extensions.py",),
    "annotated-types": ("annotated_types",),
    "pydantic": ("pydantic",),
    "pydantic-core": ("pydantic_core",),
    "typing-inspection": ("typing_inspection",),
}
"""What a submission can import officially, and the files and folders that make it up. Of what LiveCodeBench
depends on these are what a solution could use; not requests and other packages of the network, nor those of
hundreds of megabytes that are there for models."""


@functools.cache
def interpreter() -> Interpreter:
    """It, with the packages there are."""
    shown = tuple((str(path), f"{_INSIDE}/{path.name}") for paths in _found().values() for path in paths)
    return Interpreter((PYTHON, "-I", "-B"), _archive("main"), shown)


@functools.cache
def pypy() -> Interpreter:
    """OJBench's, with its flags: no `site`, so no `exit` and `quit`."""
    return Interpreter((PYPY, "-BS"), _archive("plain"), environment=tuple(PYPY_ENVIRONMENT.items()))


@functools.cache
def described() -> str:
    """Python and packages with their versions, and what submissions do not find and why, for the record of a
    result."""
    done = subprocess.run([PYTHON, "--version"], capture_output=True, text=True)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _found()]
    without = [f"without {name}: {why}" for name, why in missing().items()]
    return ", ".join([done.stdout.strip(), *versions]) + "".join(f"; {one}" for one in without)


def missing() -> Mapping[str, str]:
    """The official packages that submissions do not find here, and why. What numpy says when the loaded
    interpreter cannot load it is among the reasons."""
    unlike = _unlike()
    if unlike:
        return {"all packages": unlike}
    found = {name: _why_not(parts) for name, parts in PACKAGES.items() if name not in _found()}
    if "numpy" in _found() and (said := _said_of_numpy()):
        found["numpy"] = said
    return found


@functools.cache
def _said_of_numpy() -> str:
    out, limits = scratch(), Limits(cpu_s=30, wall_s=90, memory=1 << 30, stdout=1 << 16)
    try:
        outcome = run(
            ("numpy",), limits, files={}, stdin=None, stdout=out, stderr=out, interpreter=interpreter()
        )
    except SandboxError as error:
        return str(error)
    else:
        said = read_all(out).decode(errors="replace").strip()
        return said if outcome.exit_code == 0 else f"it could not be asked for: {outcome} {said}"
    finally:
        os.close(out)


@functools.cache
def _found() -> Mapping[str, tuple[Path, ...]]:
    """Packages of this environment, if the system's Python loads what this one does and they can be read by
    anybody, as root judges as somebody else."""
    if _unlike():
        return {}
    found = {name: tuple(filter(_open_to_all, _places(parts))) for name, parts in PACKAGES.items()}
    return {name: paths for name, paths in found.items() if paths}


def _unlike() -> str:
    """Why the system's Python cannot load what this one does; empty if it can."""
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    system = Path(PYTHON).resolve().name
    if sys.implementation.name == "cpython" and system == ours:
        return ""
    return f"{PYTHON} is {system} and cannot load those of this environment of {ours}; make one with {PYTHON}"


def _why_not(parts: tuple[str, ...]) -> str:
    closed = next((path for path in _places(parts) if not _open_to_all(path)), None)
    return f"{closed} cannot be read by everybody" if closed else "not installed"


def _places(parts: tuple[str, ...]) -> Iterator[Path]:
    spec = importlib.util.find_spec(parts[0].removesuffix(".py"))
    if spec is None or spec.origin is None:
        return
    first = Path(spec.origin)
    folder = first.parent if first.name == parts[0] else first.parent.parent
    yield from (folder / part for part in parts if (folder / part).exists())


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
