"""Sandboxes that stand ready, one run after the other in each.

Most of what a sandbox costs is building it: bubblewrap, a network namespace, a dozen mounts, a cgroup. So
that is done once per thread and the rest per run: process and mount namespaces, /proc, /box and /tmp are each
run's own, and end with it (`init.c`). What runs of one thread share is what they cannot touch: the user,
network, UTS, IPC and cgroup namespaces, a read-only root, and the limits of memory (`cgroups`).

In the sandbox of an `Interpreter` a run is a fork of one that has its modules loaded: nothing but the
interpreter and what it loads ever ran in that.

A sandbox belongs to the thread that made it: it runs on that thread's CPUs, and the kernel ends it, and every
process in it, when that thread does. Two programs that talk to each other are in two sandboxes. A sandbox in
which anything went wrong is torn down.

Not covered: limits and accounting of a run (`runs`).
"""

from __future__ import annotations

import array
import contextlib
import functools
import os
import select
import socket
import struct
import subprocess
import threading
import weakref
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.sandbox import cgroups, helper
from eval.sandbox.files import Sealed, read_all, scratch

SANDBOX_UID = 64123
"""What root becomes: an id that owns nothing and that no service runs under."""
_GRACE_S = 10.0
"""How long beyond its due time an answer may take before the sandbox counts as broken."""
_DEVICES = ("null", "zero", "random", "urandom")
_CLOSED = ("--remount-ro", "/", "--")
_mine = threading.local()
_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


class SandboxError(RuntimeError):
    """The sandbox failed, not the program in it. Worth a retry; never a verdict on the program."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter that loads its modules once; what runs in its sandboxes is a fork of it.

    `command` starts it on the zip archive `program`, with two further words: the library to load, and the
    socket that its function `sandbox` takes. Where that returns words, they are a run's; `init.c` has the
    details. `shown` are files and folders outside that it finds, read-only, at other places inside;
    `environment` are variables that it, and so every fork, has beside what every program has.
    """

    command: tuple[str, ...]
    program: bytes
    shown: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class Sandbox:
    """One sandbox with its process 1 waiting for orders. Raises `SandboxError` throughout."""

    def __init__(self, interpreter: Interpreter | None = None) -> None:
        self.interpreter = interpreter
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._said = scratch()
        try:
            self._process = self._begun(theirs.fileno())
        except OSError as error:
            self._control.close()
            os.close(self._said)
            raise SandboxError(f"the sandbox does not start: {error}") from error
        finally:
            theirs.close()
        self._maker, self._thread = os.getpid(), threading.get_ident()
        self._groups: list[cgroups.Group] = []
        self.close = weakref.finalize(
            self, _end, self._maker, self._process, self._control, self._said, self._groups
        )
        self._awaited = select.poll()
        self._awaited.register(self._control, select.POLLIN)
        _sandboxes.add(self)
        try:
            message, self._pid = self._hear(_GRACE_S)
            if message != b"here":
                raise self.broken(message)
        except BaseException:
            self.close()
            raise

    def _begun(self, control: int) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as open_files:

            def opened(content: Sealed) -> int:
                fd = content.reader()
                open_files.callback(os.close, fd)
                return fd

            init = opened(helper.init())
            command = [*_as_ordinary_user(init), *_bubblewrap()]
            kept = [control, init]
            if self.interpreter is None:
                command += [*_CLOSED, f"/proc/self/fd/{init}", "room", str(control)]
            else:
                program, library = opened(_archive(self.interpreter)), opened(helper.library())
                kept += [program, library]
                for outside, inside in self.interpreter.shown:
                    command += ["--ro-bind", outside, inside]
                for name, value in self.interpreter.environment:
                    command += ["--setenv", name, value]
                command += [*_CLOSED, f"/proc/self/fd/{init}", "deep", *self.interpreter.command]
                command += [f"/proc/self/fd/{program}", f"/proc/self/fd/{library}", str(control)]
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said,
                env={}, cwd="/", pass_fds=kept, start_new_session=True,
            )  # fmt: skip

    def usable(self) -> bool:
        """Whether it is this process's, not that of one it was forked from, and alive."""
        return self._maker == os.getpid() and self._process.poll() is None

    def confine(self, memory: int, processes: int) -> cgroups.Group:
        """The cgroup that caps the next run, and this sandbox's own processes with it, at so many bytes."""
        if self._groups and self._groups[0].renew(memory, processes):
            return self._groups[0]
        self._groups.insert(0, cgroups.Group(cgroups.accounting(), memory, processes))
        self._groups[0].join(self._pid)
        for old in self._groups[1:]:
            old.remove()
        del self._groups[1:]
        return self._groups[0]

    def hang_up(self, threads: Collection[int]) -> None:
        """End it from another thread, if it is one of these threads' own; whoever waits for it is told."""
        if self._maker == os.getpid() and self._thread in threads:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)

    def order(self, words: Iterable[str], descriptors: Sequence[int]) -> None:
        """Begin a run. `words` and `descriptors` are as in `init.c`."""
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            self._control.sendmsg([text], [rights])
        except OSError as error:
            raise self.broken(str(error).encode()) from error

    def report(self, due_s: float) -> bytes:
        """What is said of the run when nothing of it is left; empty if a process 1 was killed."""
        message, _ = self._hear(due_s + _GRACE_S)
        if message.startswith(b"end ") or not message:
            return message
        if message != b"killed":
            raise self.broken(message)
        return b""

    def heard(self, timeout_s: float) -> bool:
        """Whether a report is there by then."""
        return bool(self._awaited.poll(timeout_s * 1000))

    def broken(self, message: bytes) -> SandboxError:
        """The error that says why, as far as anyone said."""
        why = message.removeprefix(b"fail ") or read_all(self._said, 400) or b"no reason given"
        return SandboxError(f"the sandbox broke: {why.decode(errors='replace').strip()}")

    def _hear(self, timeout_s: float) -> tuple[bytes, int]:
        if not self._awaited.poll(timeout_s * 1000):
            return b"no answer in time", 0
        try:
            message, ancillary, _, _ = self._control.recvmsg(256, socket.CMSG_SPACE(12))
        except ConnectionError as error:  # it died with an order unread
            raise self.broken(str(error).encode()) from error
        return message, struct.unpack("iII", ancillary[0][2])[0] if ancillary else 0


def hang_up(threads: Collection[int]) -> None:
    """End the sandboxes of other threads, and whatever runs in them."""
    for sandbox in list(_sandboxes):
        sandbox.hang_up(threads)


def acquire(interpreter: Interpreter | None = None) -> Sandbox:
    """A sandbox of this thread that nobody uses, or a new one. Give it back, or close it."""
    idle = _idle(interpreter)
    while idle:
        if (sandbox := idle.pop()).usable():
            return sandbox
        sandbox.close()
    return Sandbox(interpreter)


def release(sandbox: Sandbox) -> None:
    """For the next run, after one that ended in order."""
    _idle(sandbox.interpreter).append(sandbox)


def _idle(interpreter: Interpreter | None) -> list[Sandbox]:
    if not hasattr(_mine, "idle"):
        _mine.idle = {}
    idle: dict[Interpreter | None, list[Sandbox]] = _mine.idle
    return idle.setdefault(interpreter, [])


@functools.cache
def _archive(interpreter: Interpreter) -> Sealed:
    return Sealed(interpreter.program)


def _end(
    maker: int,
    process: subprocess.Popen[bytes],
    control: socket.socket,
    said: int,
    groups: list[cgroups.Group],
) -> None:
    """Hang up, upon which process 1 ends and takes everything with it."""
    mine = maker == os.getpid()
    if mine:
        with contextlib.suppress(OSError):  # it may have hung up itself
            control.shutdown(socket.SHUT_RDWR)
    control.close()
    os.close(said)
    if not mine:
        return
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
    for group in groups:
        group.remove()


def _as_ordinary_user(init: int) -> list[str]:
    """Root must not meet hostile code: its id alone opens much of /proc and lifts process limits."""
    if os.geteuid() != 0:
        return []
    return [f"/proc/self/fd/{init}", "drop", str(SANDBOX_UID), str(SANDBOX_UID)]


@functools.cache
def _bubblewrap() -> tuple[str, ...]:
    command = [
        "/usr/bin/bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc",
        "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--as-pid-1",
        "--cap-add", "CAP_SYS_ADMIN",
        "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
        "--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
        "--proc", "/proc", "--dir", "/box", "--dir", "/tmp",
    ]  # fmt: skip
    for name in ("stdin", "stdout", "stderr", "fd"):
        command += ["--symlink", f"/box/.{name}", f"/dev/{name}"]  # which a run has or has not
    command += ["--symlink", "/box/.shm", "/dev/shm"]
    for device in _DEVICES:
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for root in ("/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(root):
            command += ["--symlink", os.readlink(root), root]
        elif Path(root).is_dir():
            command += ["--ro-bind", root, root]
    return (*command, "--chdir", "/box")
