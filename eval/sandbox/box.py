"""One program, one sandbox: start it, wait for it, learn what became of it.

`run` is what most callers need; `start` and `Box.wait` let two programs talk through pipes. Process 1
inside (`init.c`) enforces the limits; this side makes the sandbox and is the last resort if that stalls.

Not covered: what an outcome means for a verdict (`eval.judge`).
"""

from __future__ import annotations

import functools
import os
import select
import signal
import socket
import stat
import struct
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from eval.sandbox import cgroups, helper
from eval.sandbox.files import Sealed, read_all

MIB = 1 << 20
SANDBOX_UID = 64123
"""What root becomes: an id that owns nothing and that no service runs under."""
_GRACE_S = 10.0
"""How long beyond the wall limit process 1 may take to report before the sandbox counts as broken."""
_PATIENCE = 5
"""As in `init.c`."""
_CGROUP_SLACK = MIB
"""Process 1's own share of a memory group."""
_DEVICES = ("null", "zero", "random", "urandom")

Ended = Literal["exit", "cpu", "wall", "memory", "output"]


class SandboxError(RuntimeError):
    """The sandbox failed, not the program in it. Worth a retry; never a verdict on the program."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use. Seconds and bytes; None: no limit of its own.

    `wall_s` leaves out the time the program stood ready and got no CPU: a busy machine is not its fault.
    `memory` bounds the tree; `address_space` and `stack` each process. `stdout` and `stderr` cap what
    is written there. `tmp` bytes of private /tmp with `inodes` files; 0: nothing is writable.
    `core` is the CPU to run on, None for any.
    """

    cpu_s: float
    wall_s: float
    memory: int
    stdout: int
    stderr: int = MIB
    address_space: int | None = None
    stack: int | None = None
    processes: int = 64
    open_files: int = 256
    tmp: int = 0
    inodes: int = 1024
    core: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    `ended`: by itself ("exit", also when a signal killed it), or for exceeding a limit. `exit_code` and
    `signal` are the main process's; of the two one is None. `cpu_s` counts the whole tree; `queued_s` of
    the `wall_s` its first thread waited for a CPU. `memory` is the tree's peak in bytes, `main_memory` the
    main process's peak resident set.
    """

    ended: Ended
    exit_code: int | None
    signal: int | None
    cpu_s: float
    wall_s: float
    queued_s: float
    memory: int
    main_memory: int


@functools.cache
def accounting() -> cgroups.Accounting:
    """How memory is limited on this machine; looked up once."""
    return cgroups.detect()


def run(
    argv: Iterable[str],
    limits: Limits,
    *,
    files: Mapping[str, Sealed],
    stdin: Sealed | None,
    stdout: int,
    stderr: int,
    environment: Mapping[str, str] | None = None,
    shown: Iterable[int] = (),
) -> Outcome:
    """Run a program to its end. See `start`; `stdin` None is empty input."""
    source = os.open("/dev/null", os.O_RDONLY) if stdin is None else stdin.reader()
    try:
        box = start(
            argv, limits, files=files, stdin=source, stdout=stdout, stderr=stderr,
            environment=environment, shown=shown,
        )  # fmt: skip
    finally:
        os.close(source)
    return box.wait()


def start(
    argv: Iterable[str],
    limits: Limits,
    *,
    files: Mapping[str, Sealed],
    stdin: int,
    stdout: int,
    stderr: int,
    environment: Mapping[str, str] | None = None,
    shown: Iterable[int] = (),
) -> Box:
    """Start a program in a new sandbox.

    `argv[0]` is an absolute path inside. `files` maps absolute paths inside to their contents, read-only
    and executable. `stdin`, `stdout`, `stderr` and the `shown` descriptors (inside: /dev/fd/N) stay the
    caller's to close. Raises `SandboxError`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    readers: list[int] = []
    try:
        placed = {path: _opened(content, readers) for path, content in files.items()}
        init = _opened(helper.init(), readers)
        shown = tuple(shown)
        command = [
            *_as_ordinary_user(init), *_bubblewrap(placed, limits, environment or {}), "--",
            f"/proc/self/fd/{init}", "box", *_wanted(limits, theirs.fileno(), shown), "--", *argv,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env={}, cwd="/",
            pass_fds=(theirs.fileno(), *readers, *shown),
        )  # fmt: skip
    except OSError as error:
        ours.close()
        raise SandboxError(f"the sandbox does not start: {error}") from error
    finally:
        theirs.close()
        for fd in readers:
            os.close(fd)
    return Box(process, ours, limits, stdout, stderr)


class Box:
    """A started sandbox. Call `wait` or `abandon`, once."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        limits: Limits,
        stdout: int,
        stderr: int,
    ) -> None:
        self._process, self._control, self._limits = process, control, limits
        caps = ((stdout, limits.stdout), (stderr, limits.stderr))
        self._files = [(fd, cap) for fd, cap in caps if stat.S_ISREG(os.fstat(fd).st_mode)]
        self._stderr = stderr
        self._group: cgroups.Group | None = None
        try:
            self._release()
        except BaseException:
            self.abandon()
            raise

    def _release(self) -> None:
        """Wait until process 1 stands in its sandbox, put it under its limits, let it go on."""
        self._control.settimeout(_GRACE_S)
        try:
            message, ancillary, _, _ = self._control.recvmsg(256, socket.CMSG_SPACE(12))
        except TimeoutError:
            message, ancillary = b"", []
        if message != b"ready":
            raise self._broken(message)
        pid = struct.unpack("iII", ancillary[0][2])[0]
        if accounting().kind != "rlimits":
            allowed = self._limits.memory + self._limits.stdout + self._limits.stderr + _CGROUP_SLACK
            try:
                self._group = cgroups.Group(accounting(), allowed, self._limits.processes + 1)
                self._group.join(pid)
            except OSError as error:
                raise SandboxError(f"the memory cgroup cannot be set up: {error}") from error
        self._control.send(b"go")

    def wait(self) -> Outcome:
        """Wait for the end and clean up. Raises `SandboxError` if the sandbox broke."""
        try:
            self._control.settimeout(_PATIENCE * self._limits.wall_s + _GRACE_S)
            try:
                message = self._control.recv(256)
            except TimeoutError:
                message = b"no report in time"
            if not message.startswith(b"end ") and not (self._group and self._group.ran_out()):
                raise self._broken(message)
            self._finish()
            return self._outcome(message.decode())
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End everything inside and clean up, instead of waiting."""
        self._kill()
        self._clean_up()

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def _finish(self) -> None:
        """Wait for bubblewrap. `Popen.wait` with a timeout would poll, and double the cost of a run."""
        ended = os.pidfd_open(self._process.pid)
        try:
            if not _readable(ended, _GRACE_S):
                raise SandboxError("processes in the sandbox do not die; a device may be stuck")
        finally:
            os.close(ended)

    def _clean_up(self) -> None:
        self._process.wait()
        self._control.close()
        if self._group:
            self._group.remove()

    def _outcome(self, report: str) -> Outcome:
        # Without a report the kernel killed process 1 itself for want of memory.
        _, ended, status, *numbers = (report or f"end rss {int(signal.SIGKILL)} 0 0 0 0 0").split()
        cpu_us, wall_us, queued_us, main_memory, tree_memory = map(int, numbers)
        written = [(os.fstat(fd).st_size, cap) for fd, cap in self._files]
        memory = max(main_memory, tree_memory)
        if self._group:
            # Output lives in memory that the group is charged for.
            memory = max(self._group.peak() - sum(size for size, _ in written), 0)
        if ended == "rss" or (self._group and self._group.ran_out()):
            ended = "memory"
        elif ended == "exit" and any(size > cap for size, cap in written):
            ended = "output"
        code = os.waitstatus_to_exitcode(int(status))
        return Outcome(
            ended=cast(Ended, ended),
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            cpu_s=cpu_us / 1e6,
            wall_s=wall_us / 1e6,
            queued_s=queued_us / 1e6,
            memory=memory,
            main_memory=main_memory,
        )

    def _broken(self, message: bytes) -> SandboxError:
        why = message.removeprefix(b"fail ") or read_all(self._stderr, 400) or b"no reason given"
        return SandboxError(f"the sandbox broke: {why.decode(errors='replace').strip()}")


def _readable(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _opened(content: Sealed, opened: list[int]) -> int:
    opened.append(content.reader())
    return opened[-1]


def _as_ordinary_user(init: int) -> list[str]:
    """Root must not meet hostile code: its id alone opens much of /proc and lifts process limits."""
    if os.geteuid() != 0:
        return []
    return [f"/proc/self/fd/{init}", "drop", str(SANDBOX_UID), str(SANDBOX_UID)]


def _bubblewrap(placed: Mapping[str, int], limits: Limits, environment: Mapping[str, str]) -> list[str]:
    command = [*_fixed_part()]
    for path, fd in placed.items():
        command += ["--perms", "0555", "--ro-bind-data", str(fd), path]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return [*command, "--chdir", "/box", "--remount-ro", "/"]


@functools.cache
def _fixed_part() -> tuple[str, ...]:
    bwrap = "/usr/bin/bwrap"
    command = [
        bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--die-with-parent", "--as-pid-1", "--cap-add", "CAP_SYS_ADMIN",
        "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
        "--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
        "--proc", "/proc", "--dir", "/box", "--dir", "/tmp", "--symlink", "/proc/self/fd", "/dev/fd",
    ]  # fmt: skip
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        command += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    for device in _DEVICES:
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for root in ("/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(root):
            command += ["--symlink", os.readlink(root), root]
        elif Path(root).is_dir():
            command += ["--ro-bind", root, root]
    return tuple(command)


def _wanted(limits: Limits, control: int, shown: Iterable[int]) -> list[str]:
    """The limits in the words of `init.c`."""
    fallback = accounting().kind == "rlimits"
    # Without a memory group one process could outrun the sampling; address space stops it first.
    address_space = limits.address_space or (limits.memory + 1024 * MIB if fallback else 0)
    wanted = {
        "control": control,
        "cpu_ms": round(limits.cpu_s * 1000),
        "wall_ms": round(limits.wall_s * 1000),
        "rss": limits.memory if fallback else 0,
        "as": address_space,
        "stack": limits.stack or 0,
        "fsize": max(limits.stdout, limits.stderr, limits.tmp) + 4096,
        "nofile": limits.open_files,
        "nproc": limits.processes,
        "tmp": limits.tmp,
        "inodes": limits.inodes,
        "core": -1 if limits.core is None else limits.core,
    }
    return [*(f"{key}={value}" for key, value in wanted.items()), *(f"keep={fd}" for fd in shown)]
