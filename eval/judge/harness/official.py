"""A submission as LiveCodeBench's own code runs it (mode `strict`): one process, one module, one `Solution()`
for all tests, with standard streams that only resemble real ones, so that some right programs fail.

The order is the official one: take away, prelude, compile, then for each test replace the streams and call.
Tests come one at a time through one pipe, as a length and the input; what came of each goes out through
another (`eval.judge.dialogue`). Unlike there, no expected output ever is in this process.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import faulthandler
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, NoReturn

from .common import PRELUDE, code, described
from .limits import Limits
from .streams import standard_input

LENGTH, REPLY = struct.Struct("<Q"), struct.Struct("<cddQ")
"""Before an input; before what came of it: kind, seconds on the test's clock and of CPU time, length."""
GIVEN, SAID = 3, 4
"""Descriptors, until `put_away`."""
LIMIT_S = 6.0
DIGITS = 50_000
NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What compiling a text can raise."""
_TAKEN_FROM_OS = (
    "kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork", "forkpty",
    "killpg", "rename", "renames", "truncate", "replace", "unlink", "fchmod", "fchown", "chmod", "chown",
    "chroot", "lchflags", "lchmod", "lchown", "getcwd", "chdir",
)  # fmt: skip
_TAKEN_MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")
ANNOUNCED = "timeout occured: alarm went off"
"""What is printed when the time is over, to the standard output of that moment."""
# A submission may replace these where it finds them.
_now, _cpu_time, _set_timer, _dump = time.monotonic, time.process_time, signal.setitimer, json.dumps
_SLACK_S = 0.01
"""How exactly a timer is known by the time at which it is due."""
ARGUMENTS = ("--model", "model", "--scenario", "codegeneration", "--evaluate")
"""As officially a submission finds them in `sys.argv`, which are another program's."""
_open, _read, _write, _close, leave = os.open, os.read, os.write, os.close, os._exit


class TimeoutException(Exception):
    """What a call that takes too long can catch."""


def run(traits: str, function: str) -> NoReturn:
    """Answer tests until there are no more. `traits` tell the commits of the official code apart; without a
    `function` the submission is a program."""
    put_away()
    sys.set_int_max_str_digits(DIGITS)
    sys.argv[1:] = ARGUMENTS
    _empty_standard_input()
    known, clock = traits.split(","), Clock(ANNOUNCED)
    take_away("exit" not in known)
    try:
        text = f"{PRELUDE}\n\n{code()}" if function else _as_function(code())
        compiled = compile(text, "<string>", "exec", dont_inherit=True)
    except NOT_PYTHON as error:
        say(b"F" if _is_python(code()) else b"X", clock, repr(error))
        leave(0)
    try:
        _answer(_made(compiled, text, clock), function, clock, "buffer" in known)
    except BaseException as error:
        say(b"L" if "timeoutexception" in repr(error).lower() else b"F", clock, repr(error))
    leave(0)


def _made(compiled: Any, text: str, clock: Clock) -> Any:
    """What has the function to call."""
    module = ModuleType("tmp_sol", "")
    with clock:
        exec(compiled, module.__dict__)
        return module.Solution() if "class Solution" in text else module


def _answer(target: Any, function: str, clock: Clock, buffered: bool) -> None:
    """Raises where a submission leaves a `sys.stderr` that is no file, as enabling `faulthandler` does."""
    method, read = _method(target, function or "wrapped_function"), _Reader()
    while (given := next_test()) is not None:
        faulthandler.enable()
        try:
            if function:
                text = _called(method, given, clock, read)
            else:
                text = _printed(method, given, clock, buffered)
        finally:
            faulthandler.disable()
        say(b"L" if clock.late else b"V" if function else b"T", clock, text)


def _method(target: Any, name: str) -> Any:
    """It is looked up twice."""
    if not hasattr(target, name):
        raise AttributeError(name)
    return getattr(target, name)


def _called(method: Callable[..., Any], given: str, clock: Clock, read: _Reader) -> str:
    arguments = read(given)
    with clock:
        value = method(*arguments)
    with read.limits:
        return _dump(described(list(value) if isinstance(value, tuple) else value))


class _Reader:
    """Reads inputs as if it did so before the first call, which is when all are read officially."""

    def __init__(self) -> None:
        self._loads, self.limits = json.loads, Limits()

    def __call__(self, given: str) -> list[Any]:
        with self.limits:
            return [self._loads(line) for line in given.split("\n")]


def _printed(method: Callable[[], Any], given: str, clock: Clock, buffered: bool) -> str:
    kept, sys.stdout = sys.stdout, io.StringIO()
    out = sys.stdout
    out.close = lambda _: None  # type: ignore[method-assign, assignment, misc] # cannot be called, as officially
    try:
        with standard_input(given, buffered), clock, contextlib.suppress(SystemExit):
            method()
    finally:
        sys.stdout = kept
    return out.getvalue()


# What a submission finds --------------------------------------------------------------------------


def _empty_standard_input() -> None:
    """`multiprocessing` closes the stream it finds, `sys.__stdin__`, and opens another."""
    sys.stdin.close()
    sys.stdin = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8", closefd=False)  # noqa: SIM115


def take_away(exit_too: bool) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("quit", "help", *(["exit"] if exit_too else [])):
        setattr(builtins, name, None)
    for name in _TAKEN_FROM_OS:
        setattr(os, name, None)
    for name in ("rmtree", "move", "chown"):
        setattr(shutil, name, None)
    subprocess.Popen = None  # type: ignore[misc, assignment]
    sys.modules.update(dict.fromkeys(_TAKEN_MODULES))  # type: ignore[arg-type]


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except NOT_PYTHON:
        return False
    return True


def _as_function(text: str) -> str:
    """The imports, and all else in a function; of a main guard that comes last, the body."""
    body = ast.parse(text).body
    last = body[-1] if body else None
    if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
        body[-1:] = last.body
    imports: list[ast.stmt] = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    (wrapper,) = ast.parse("def wrapped_function(): pass").body
    wrapper.body = [node for node in body if node not in imports]  # type: ignore[attr-defined]
    return f"{PRELUDE}\n{ast.unparse(ast.Module(imports, []))}\n{ast.unparse(wrapper)}"


# Time, and the way in and out ---------------------------------------------------------------------


class Clock:
    """Runs while entered, without the time this process waits for a CPU. At the end of the time it prints
    what is `announced` and raises. `late` is what is over the limit by less than what is allowed; not a
    submission that cancels or moves the alarm.

    The timer is set to the limit itself, as officially, and then to the time that is left. Any other alarm is
    a submission's own and ends its time."""

    def __init__(self, announced: str = "", limit_s: float = LIMIT_S) -> None:
        self._limit_s, self._allowed_s = limit_s, 1.1 * limit_s + 0.2
        self._announced, self.seconds, self.cpu_s, self.late = announced, 0.0, 0.0, False
        signal.signal(signal.SIGALRM, self._ring)

    def __enter__(self) -> None:
        self._began, self._cpu = _now() - _queued_s(), _cpu_time()
        self._set(self._limit_s)

    def __exit__(self, *_: object) -> None:
        before, left, now = _now(), _set_timer(signal.ITIMER_REAL, 0)[0], _now()
        self.seconds, self.cpu_s = now - _queued_s() - self._began, _cpu_time() - self._cpu
        ours = before - _SLACK_S < self._due - left < now + _SLACK_S
        self.late = left > 0 and ours and self.seconds > self._limit_s

    def _set(self, seconds: float) -> None:
        self._due = _now() + seconds
        _set_timer(signal.ITIMER_REAL, seconds)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        left = self._began + self._allowed_s - _now() + _queued_s()
        if left > 0 and _now() >= self._due:
            self._set(left)
            return
        if self._announced:
            print(self._announced)
        raise TimeoutException


def _queued_s() -> float:
    """How long this thread stood ready and got no CPU."""
    try:
        file = _open("/proc/self/schedstat", os.O_RDONLY)
        text = _read(file, 100)
        _close(file)
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e9


def put_away() -> None:
    """Moves both pipes where a submission that closes the first few descriptors does not close them."""
    global GIVEN, SAID
    last = os.sysconf("SC_OPEN_MAX") - 1
    for number, there in ((GIVEN, last), (SAID, last - 1)):
        os.dup2(number, there, inheritable=False)
        os.close(number)
    GIVEN, SAID = last, last - 1


def next_test() -> str | None:
    """The next test's input; None if there is none."""
    head = _exactly(LENGTH.size)
    return _exactly(*LENGTH.unpack(head)).decode() if head else None


def _exactly(size: int) -> bytes:
    parts = []
    while size and (part := _read(GIVEN, min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def say(kind: bytes, clock: Clock, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    view = memoryview(REPLY.pack(kind, clock.seconds, clock.cpu_s, len(data)) + data)
    while view:
        view = view[_write(SAID, view) :]
