"""One program, one run in a sandbox: start it, wait for it, learn what became of it.

`run` is what most callers need; `start` and `Run.wait` let two programs talk through pipes. The run's
process 1 (`init.c`) enforces the limits; this side sets its cgroup's and is the last resort if it stalls.

Not covered: the sandbox itself (`sandbox`), and what an outcome means for a verdict (`eval.judge`).
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from eval.sandbox.cgroups import CLEAN, Group, accounting
from eval.sandbox.files import Sealed
from eval.sandbox.sandbox import Interpreter, Sandbox, SandboxError, acquire, release

MIB = 1 << 20
_NONE: Mapping[str, str] = MappingProxyType({})
_PATIENCE = 5
"""As in `init.c`."""
_CGROUP_SLACK = CLEAN + 2 * MIB
"""The share of a memory group that what was charged before the run, and the processes 1, may take."""

Ended = Literal["exit", "cpu", "wall", "memory", "output"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use. Seconds and bytes; None: no limit of its own.

    `wall_s` leaves out the time the program's first thread stood ready and got no CPU: a busy machine is not
    its fault, up to five times the limit.
    `memory` bounds the tree; `address_space` and `stack` each process. `stdout` and `stderr` cap what
    is written there. `tmp` bytes of private /tmp with `inodes` files; 0: nothing is writable. `shared` bytes
    of private /dev/shm, where locks that processes share are; 0: there is none. `solo`: the
    program is killed if it sleeps, sets a timer, runs another program or waits for a child, and finds no
    /dev/stdin, stdout, stderr or fd. `ignored` are signals that it ignores at first; with SIGXFSZ among them
    what is beyond the caps is not written, as on a full disk, and nothing is killed for it. `hold`: what it
    was given stays open until it ends, whatever it closes. `weighed`: what it writes to `stdout` and `stderr`
    counts as its memory.
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
    shared: int = 0
    solo: bool = False
    ignored: tuple[signal.Signals, ...] = ()
    hold: bool = False
    weighed: bool = False


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


def run(
    argv: Iterable[str],
    limits: Limits,
    *,
    files: Mapping[str, Sealed],
    stdin: Sealed | None,
    stdout: int,
    stderr: int,
    shown: Iterable[int] = (),
    links: Mapping[str, str] = _NONE,
    environment: Mapping[str, str] = _NONE,
    interpreter: Interpreter | None = None,
) -> Outcome:
    """Run a program to its end. See `start`; `stdin` None is empty input."""
    source = os.open("/dev/null", os.O_RDONLY) if stdin is None else stdin.reader()
    try:
        box = start(
            argv, limits, files=files, stdin=source, stdout=stdout, stderr=stderr, shown=shown, links=links,
            environment=environment, interpreter=interpreter,
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
    shown: Iterable[int] = (),
    links: Mapping[str, str] = _NONE,
    environment: Mapping[str, str] = _NONE,
    interpreter: Interpreter | None = None,
) -> Run:
    """Start a program in a sandbox that nothing else is in.

    `argv[0]` is an absolute path inside. `files` maps paths in /box to their contents, read-only and
    executable. `stdin`, `stdout`, `stderr` and the `shown` descriptors (found at `inside(0)`, `inside(1)`,
    ...) stay the caller's to close. `links` maps paths in /box or, where `tmp` is granted, /tmp to what they
    lead to; `environment` is added to what every program has. An `interpreter` is handed `argv`, and runs
    what they mean to it; it has an environment of its own, which `environment` is not added to. Raises
    `SandboxError`.
    """
    shown = tuple(shown)
    sandbox = acquire(interpreter)
    try:
        group = _group(sandbox, limits)
        words = [
            *_wanted(limits, len(shown)),
            *(f"file={path}" for path in files),
            *(f"link={path}={target}" for path, target in links.items()),
            *(f"env={name}={value}" for name, value in environment.items()),
            "--",
            *argv,
        ]
        sandbox.order(words, (stdin, stdout, stderr, *shown, *(content.fd for content in files.values())))
        return Run(sandbox, group, limits, stdout, stderr)
    except OSError as error:
        sandbox.close()
        raise SandboxError(f"the run does not start: {error}") from error
    except BaseException:
        sandbox.close()
        raise


def inside(number: int) -> str:
    """Where a program finds the `number`th of the descriptors that are shown to it."""
    return f"/dev/fd/{3 + number}"


def _group(sandbox: Sandbox, limits: Limits) -> Group | None:
    if accounting().kind == "rlimits":
        return None
    allowed = limits.memory + _CGROUP_SLACK + (0 if limits.weighed else limits.stdout + limits.stderr)
    try:
        return sandbox.confine(allowed, limits.processes + 2)
    except OSError as error:
        raise SandboxError(f"the memory cgroup cannot be made or entered: {error}") from error


class Run:
    """A started run. Call `wait`, `end` or `abandon`, once."""

    def __init__(
        self, sandbox: Sandbox, group: Group | None, limits: Limits, stdout: int, stderr: int
    ) -> None:
        self._sandbox, self._group, self._limits = sandbox, group, limits
        caps = ((stdout, limits.stdout), (stderr, limits.stderr))
        self._files = [(fd, cap) for fd, cap in caps if stat.S_ISREG(os.fstat(fd).st_mode)]

    def wait(self) -> Outcome:
        """Wait for the end and clean up. Raises `SandboxError` if the sandbox broke."""
        try:
            message = self._sandbox.report(_PATIENCE * self._limits.wall_s)
            if not message and not (self._group and self._group.ran_out()):
                raise self._sandbox.broken(b"the run's process 1 was killed")
            outcome = self._outcome(message.decode())
        except BaseException:
            self.abandon()
            raise
        if message:
            release(self._sandbox)
        else:
            self.abandon()
        return outcome

    def end(self, grace_s: float) -> Outcome | None:
        """Wait for the end, so long, else make one; None if it had to be made."""
        if self._sandbox.heard(grace_s):
            return self.wait()
        self.abandon()
        return None

    def abandon(self) -> None:
        """End everything inside and clean up, instead of waiting."""
        self._sandbox.close()

    def _outcome(self, report: str) -> Outcome:
        # Without a report the kernel killed process 1 itself for want of memory.
        _, ended, status, *numbers = (report or f"end rss {int(signal.SIGKILL)} 0 0 0 0 0").split()
        cpu_us, wall_us, queued_us, main_memory, tree_memory = map(int, numbers)
        written = [(os.fstat(fd).st_size, cap) for fd, cap in self._files]
        output = sum(size for size, _ in written)
        memory = max(main_memory, tree_memory) + (output if self._limits.weighed else 0)
        if self._group:
            # Output lives in memory that the group is charged for.
            memory = max(self._group.peak() - (0 if self._limits.weighed else output), 0)
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


def _wanted(limits: Limits, shown: int) -> list[str]:
    """The limits in the words of `init.c`."""
    fallback = accounting().kind == "rlimits"
    # Without a memory group one process could outrun the sampling; address space stops it first.
    address_space = limits.address_space or (limits.memory + 1024 * MIB if fallback else 0)
    full = signal.SIGXFSZ in limits.ignored
    wanted = {
        "cpu_ms": round(limits.cpu_s * 1000),
        "wall_ms": round(limits.wall_s * 1000),
        "rss": limits.memory if fallback else 0,
        "as": address_space,
        "stack": limits.stack or 0,
        "fsize": max(limits.stdout, limits.stderr, limits.tmp) + (0 if full else 4096),
        "nofile": limits.open_files,
        "nproc": limits.processes,
        "tmp": limits.tmp,
        "inodes": limits.inodes,
        "shm": limits.shared,
        "keep": shown,
        "solo": int(limits.solo),
        "ignore": sum(1 << (number - 1) for number in limits.ignored),
        "hold": int(limits.hold),
    }
    return [f"{key}={value}" for key, value in wanted.items()]
