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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from eval.judge import cache, headers
from eval.judge.interpreter import PYPY, PYPY_ENVIRONMENT, PYTHON, interpreter, pypy
from eval.judge.records import MIB, CompileError, Source
from eval.sandbox import Interpreter, Limits, Sealed, inside, run, scratch
from eval.sandbox.files import read_all

_PROGRAM, _PRELOADED = "/box/main", "/box/unbuffered.so"
_UNITS = {".c", ".cc", ".cpp", ".cxx"}
"""What is compiled of a program's files; the others are included."""
_MESSAGE_LIMIT = 4000
# The compiler's output file becomes the sandbox's output: nothing outside is writable to a compiler.
_BUILD = ["/bin/sh", "-c", '"$@" -o /tmp/main >&2 && exec cat /tmp/main', "sh"]


MAIN = {"cpp": "main.cpp", "python": "main.py"}
"""What a submission's file is called."""


@dataclass(frozen=True, slots=True)
class Language:
    """How programs of a language are built and run. `flags` follow a compiler's source files, or stand before
    an interpreter's. `headroom` is the address space in bytes that programs get beyond their memory limit,
    where it is limited. Where there is a loaded `interpreter`, it runs them; `environment` are its
    variables."""

    name: str
    tool: str
    flags: tuple[str, ...]
    limits: Limits
    headroom: int = 0
    interpreter: Callable[[], Interpreter] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def compiled(self) -> bool:
        return self.name != "python"


@dataclass(frozen=True, slots=True)
class Program:
    """Ready to run: the command, and the files, links and variables it needs inside the sandbox."""

    argv: tuple[str, ...]
    files: Mapping[str, Sealed]
    headroom: int = 0
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    interpreter: Interpreter | None = None

    def close(self) -> None:
        for content in self.files.values():
            content.close()


def compile_limits(cpu_s: float, memory: int, processes: int = 50, binary: int = 64 * MIB) -> Limits:
    """Limits for a compiler: seconds, bytes, processes, bytes of what it makes."""
    return Limits(
        cpu_s=cpu_s, wall_s=3 * cpu_s, memory=memory, stdout=binary, stderr=MIB,
        processes=processes, tmp=256 * MIB, inodes=4096,
    )  # fmt: skip


_GXX = "/usr/bin/g++"
_SMALL = Limits(cpu_s=10, wall_s=30, memory=512 * MIB, stdout=MIB)

DMOJ = {
    "cpp": Language(
        "cpp", _GXX,
        ("-Wall", "-DONLINE_JUDGE", "-O2", "-lm", "-march=native", "-std=c++17", "-fmax-errors=5", "-s"),
        compile_limits(10, 1024 * MIB), headroom=64 * MIB,
    ),
    "python": Language(
        "python", PYPY, ("-BS",), _SMALL, headroom=128 * MIB, interpreter=pypy, environment=PYPY_ENVIRONMENT
    ),
}  # fmt: skip
_LIGHTCP_CPP = Language(
    "cpp", _GXX, ("-O2", "-pipe", "-std=gnu++17"), compile_limits(10, 512 * MIB, binary=128 * MIB),
    environment={"LC_ALL": "C"},
)  # fmt: skip
LIGHTCP = {"cpp": _LIGHTCP_CPP}
LCB = {"python": Language("python", PYTHON, ("-B",), _SMALL, interpreter=interpreter)}
_PATIENT = compile_limits(60, 2048 * MIB)
_FOR_HEADERS = replace(_PATIENT, stdout=512 * MIB, tmp=512 * MIB)
HELPERS = {
    "cpp": Language("cpp", _GXX, (*_LIGHTCP_CPP.flags, "-I/box"), _PATIENT),
    "c": Language("c", "/usr/bin/gcc", ("-O2", "-pipe", "-std=gnu11", "-I/box", "-lm"), _PATIENT),
    "python": Language("python", PYTHON, ("-B",), _SMALL),
}
"""For checkers and interactors: they are trusted to be right, so only patience differs."""
_UNBUFFERED = Source("cpp", {"main.cpp": b"""#include <cstdio>
__attribute__((constructor)) static void unbuffered() { setvbuf(stdout, nullptr, _IONBF, 0); }
"""}, flags=("-shared", "-fPIC"))  # fmt: skip


def build(language: Language, source: Source, unbuffered: bool = False) -> Program:
    """Compile `source`, or check its syntax. Raises `CompileError`, or `SandboxError` if that is at fault.

    What an `unbuffered` program writes is written at once, flushed or not."""
    if not language.compiled:
        return _script(language, source, ("-u",) if unbuffered else ())
    files, environment = {_PROGRAM: Sealed(_binary(language, source))}, dict(language.environment)
    if unbuffered:
        files[_PRELOADED] = Sealed(_binary(HELPERS["cpp"], _UNBUFFERED))
        environment["LD_PRELOAD"] = _PRELOADED
    return Program((_PROGRAM,), files, language.headroom, environment=environment)


def _binary(language: Language, source: Source) -> bytes:
    key = _key(language, source)
    binary = cache.get(key)
    if binary is None:
        binary = _compile(language, source)
        cache.put(key, binary)
    return binary


def _key(language: Language, source: Source) -> str:
    digest = hashlib.sha256(repr((_version(language.tool), language.flags, source.flags)).encode())
    for name, content in source.files.items():
        digest.update(repr((name, len(content))).encode() + content)
    return digest.hexdigest()


@functools.cache
def _version(tool: str) -> str:
    """What decides a binary beside its source: the compiler, and for -march=native the processor."""
    done = subprocess.run([tool, "-march=native", "-Q", "--help=target", "--version"], capture_output=True)
    return hashlib.sha256(done.stdout).hexdigest()


def _compile(language: Language, source: Source, *first: str) -> bytes:
    """`first` are flags that stand before the files. What the compiler objects to it says without precompiled
    headers, in which its messages would name other places."""
    header = _header(language, source)
    if header is not None:
        try:
            return _compiled(language, source, first, header)
        except CompileError:
            pass
    return _compiled(language, source, first, None)


def _compiled(
    language: Language, source: Source, first: Sequence[str], header: tuple[str, int, str] | None
) -> bytes:
    """Closes the descriptor of the precompiled `header`."""
    files = {f"/box/{name}": Sealed(content) for name, content in source.files.items()}
    out, err = scratch(), scratch()
    flags, shown, links = [], [], {}
    if header:
        flags, shown = ["-isystem", headers.FOLDER], [header[1]]
        links = {f"{headers.FOLDER}/{header[0]}.gch": inside(0), f"{headers.FOLDER}/{header[0]}": header[2]}
    try:
        units = [path for number, path in enumerate(files) if not number or Path(path).suffix in _UNITS]
        argv = [*_BUILD, language.tool, *flags, *first, *units, *language.flags, *source.flags]
        outcome = run(
            argv, language.limits, files=files, stdin=None, stdout=out, stderr=err, shown=shown, links=links
        )
        if outcome.ended == "exit" and outcome.exit_code == 0:
            return read_all(out)
        message = read_all(err, _MESSAGE_LIMIT).decode(errors="replace")
        why = (
            f"exit code {outcome.exit_code}" if outcome.ended == "exit" else f"over its {outcome.ended} limit"
        )
        raise CompileError(f"compiler: {why}\n{message}".strip())
    finally:
        _close(files, out, err, *shown)


def _header(language: Language, source: Source) -> tuple[str, int, str] | None:
    """The precompiled header that a compilation may have, as `headers.precompiled` gives it."""
    if language.name != "cpp" or source.flags or language.limits in (_PATIENT, _FOR_HEADERS):
        return None  # what is compiled once gains nothing, and other flags need another
    code = next(iter(source.files.values()))
    # A pragma may decide how everything is compiled that is instantiated at a program's end.
    plugin = None if b"ragma" in code else _plugin()
    patient = _for_headers(language)
    compiler = repr((_version(language.tool), patient.flags, plugin and plugin.files))
    make = functools.partial(_precompile, patient, plugin)
    return headers.precompiled(headers.wanted(code), compiler, make)


def _for_headers(language: Language) -> Language:
    flags = tuple(flag for flag in language.flags if not flag.startswith("-l"))  # nothing is linked
    return replace(language, flags=flags, limits=_FOR_HEADERS)


def _precompile(language: Language, plugin: Source | None, text: bytes) -> bytes:
    """The source of a header as one that is precompiled, with its own templates instantiated if there is a
    `plugin` and this compiler takes it."""
    kind = ("-x", "c++-header")
    try:
        if plugin:
            built = _binary(HELPERS["cpp"], plugin)
            source = Source("cpp", {MAIN["cpp"]: text, "instantiate.so": built})
            return _compile(language, source, "-fplugin=/box/instantiate.so", *kind)
    except CompileError:
        pass  # it does not
    return _compile(language, Source("cpp", {MAIN["cpp"]: text}), *kind)


@functools.cache
def _plugin() -> Source:
    code = Path(__file__).with_name("instantiate.cpp").read_bytes()
    return Source("cpp", {MAIN["cpp"]: code}, flags=_UNBUFFERED.flags)


def _script(language: Language, source: Source, flags: tuple[str, ...]) -> Program:
    """With `flags` an interpreter of its own runs it, as a loaded one has had its flags."""
    main = f"/box/{next(iter(source.files))}"
    files = {f"/box/{name}": Sealed(content) for name, content in source.files.items()}
    loaded = language.interpreter() if language.interpreter and not flags else None
    alone = (language.tool, *language.flags, *flags, main, *source.arguments)
    argv = (source.arguments or ("program", main)) if loaded else alone
    program = Program(argv, files, language.headroom, environment=language.environment, interpreter=loaded)
    try:
        # What runs all tests together says itself that it does not compile.
        if not source.together:
            _check(language, main, program)
    except BaseException:
        program.close()
        raise
    return program


def _check(language: Language, main: str, program: Program) -> None:
    code = f"compile(open({main!r}, 'rb').read(), {main!r}, 'exec', dont_inherit=True)"
    argv = ("check", main) if program.interpreter else (language.tool, *language.flags, "-c", code)
    out, err = scratch(), scratch()
    try:
        outcome = run(
            argv, language.limits, files=program.files, stdin=None, stdout=out, stderr=err,
            environment=program.environment, interpreter=program.interpreter,
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
