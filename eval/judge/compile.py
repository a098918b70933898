"""Source to something the sandbox can run.

Flags and interpreters are each benchmark's own. Compilers see hostile source, so they run in the sandbox, and
what they built comes out as their output. Binaries are kept by content hash (`cache`). Not covered: other
languages.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.judge import cache
from eval.judge.interpreter import PYPY, PYTHON, interpreter, pypy
from eval.judge.records import MIB, Source
from eval.sandbox import Interpreter, Limits, Sealed, run, scratch
from eval.sandbox.files import read_all

_PROGRAM = "/box/main"
_MESSAGE_LIMIT = 4000
# The compiler's output file becomes the sandbox's output: nothing outside is writable to a compiler.
_BUILD = ["/bin/sh", "-c", '"$@" -o /tmp/main >&2 && exec cat /tmp/main', "sh"]


MAIN = {"cpp": "main.cpp", "python": "main.py"}
"""What a submission's file is called."""


@dataclass(frozen=True, slots=True)
class Language:
    """How programs of a language are built and run. `flags` follow the source file (C++ only). Where there
    is a loaded `interpreter`, it runs them."""

    name: str
    tool: str
    flags: tuple[str, ...]
    limits: Limits
    interpreter: Callable[[], Interpreter] | None = None

    @property
    def compiled(self) -> bool:
        return self.name == "cpp"


@dataclass(frozen=True, slots=True)
class Program:
    """Ready to run: the command, and the files it needs inside the sandbox."""

    argv: tuple[str, ...]
    files: Mapping[str, Sealed]
    interpreter: Interpreter | None = None

    def close(self) -> None:
        for content in self.files.values():
            content.close()


class CompileError(Exception):
    """The compiler refused the source, or took too much over it; the message is the compiler's."""


def compile_limits(cpu_s: float, memory: int, processes: int = 50) -> Limits:
    """Limits for a compiler: seconds, bytes, processes."""
    return Limits(
        cpu_s=cpu_s, wall_s=3 * cpu_s, memory=memory, stdout=64 * MIB, stderr=MIB,
        processes=processes, tmp=256 * MIB, inodes=4096,
    )  # fmt: skip


_GXX = "/usr/bin/g++"
_SMALL = Limits(cpu_s=10, wall_s=30, memory=512 * MIB, stdout=MIB)

DMOJ = {
    "cpp": Language(
        "cpp", _GXX,
        ("-Wall", "-DONLINE_JUDGE", "-O2", "-lm", "-march=native", "-std=c++17", "-fmax-errors=5", "-s"),
        compile_limits(10, 1024 * MIB),
    ),
    "python": Language("python", PYPY, ("-BS",), _SMALL, pypy),
}  # fmt: skip
_LIGHTCP_CPP = Language("cpp", _GXX, ("-O2", "-pipe", "-std=gnu++17"), compile_limits(10, 512 * MIB))
LIGHTCP = {"cpp": _LIGHTCP_CPP}
LCB = {"python": Language("python", PYTHON, (), _SMALL, interpreter)}
HELPER = Language("cpp", _GXX, _LIGHTCP_CPP.flags, compile_limits(60, 2048 * MIB))
"""For checkers and interactors: they are trusted to be right, so only patience differs."""


def build(language: Language, source: Source) -> Program:
    """Compile `source`, or check its syntax. Raises `CompileError`, or `SandboxError` if that is at fault."""
    main = next(iter(source.files))
    if not language.compiled:
        return _script(language, source)
    key = _key(language, source)
    binary = cache.get(key)
    if binary is None:
        binary = _compile(language, source, main)
        cache.put(key, binary)
    return Program((_PROGRAM,), {_PROGRAM: Sealed(binary)})


def _key(language: Language, source: Source) -> str:
    digest = hashlib.sha256(repr((_version(language.tool), language.flags)).encode())
    for name, content in source.files.items():
        digest.update(repr((name, len(content))).encode() + content)
    return digest.hexdigest()


@functools.cache
def _version(tool: str) -> str:
    """What decides a binary beside its source: the compiler, and for -march=native the processor."""
    done = subprocess.run([tool, "-march=native", "-Q", "--help=target", "--version"], capture_output=True)
    return hashlib.sha256(done.stdout).hexdigest()


def _compile(language: Language, source: Source, main: str) -> bytes:
    files = {f"/box/{name}": Sealed(content) for name, content in source.files.items()}
    out, err = scratch(), scratch()
    try:
        argv = [*_BUILD, language.tool, f"/box/{main}", *language.flags]
        outcome = run(argv, language.limits, files=files, stdin=None, stdout=out, stderr=err)
        if outcome.ended == "exit" and outcome.exit_code == 0:
            return read_all(out)
        message = read_all(err, _MESSAGE_LIMIT).decode(errors="replace")
        why = (
            f"exit code {outcome.exit_code}" if outcome.ended == "exit" else f"over its {outcome.ended} limit"
        )
        raise CompileError(f"compiler: {why}\n{message}".strip())
    finally:
        _close(files, out, err)


def _script(language: Language, source: Source) -> Program:
    main = next(iter(source.files))
    files = {f"/box/{name}": Sealed(content) for name, content in source.files.items()}
    argv = source.arguments or ("program", f"/box/{main}")
    program = Program(argv, files, language.interpreter() if language.interpreter else None)
    try:
        # What runs all tests together says itself that it does not compile.
        if not source.together:
            _check(language, main, program)
    except BaseException:
        program.close()
        raise
    return program


def _check(language: Language, main: str, program: Program) -> None:
    out, err = scratch(), scratch()
    try:
        outcome = run(
            ("check", f"/box/{main}"), language.limits, files=program.files, stdin=None, stdout=out,
            stderr=err, interpreter=program.interpreter,
        )  # fmt: skip
        if outcome.exit_code != 0:
            raise CompileError(read_all(err, _MESSAGE_LIMIT).decode(errors="replace").strip() or str(outcome))
    finally:
        _close({}, out, err)


def _close(files: Mapping[str, Sealed], *descriptors: int) -> None:
    for content in files.values():
        content.close()
    for fd in descriptors:
        os.close(fd)


@functools.cache
def testlib() -> bytes:
    """testlib.h, for checkers and interactors. Raises `ValueError` with the remedy where there is none."""
    package = importlib.util.find_spec("rbx")
    places = [
        Path(place, "resources/predownloaded/testlib.h")
        for place in (package and package.submodule_search_locations) or ()
    ]
    for path in (*places, Path("/usr/include/testlib.h"), Path("/usr/local/include/testlib.h")):
        if path.is_file():
            return path.read_bytes()
    raise ValueError("testlib.h is not installed, and a checker needs it; pip install --no-deps rbx.cp")
