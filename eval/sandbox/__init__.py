"""A sandbox for programs nobody has read: bubblewrap, plus what bubblewrap leaves out.

Threat model. The program is hostile: written to steal the tests' answers, to pass without solving, to starve
or crash the machine, to stay behind, or to disturb the next run. Its source, its compiler run and its
output are hostile too. The kernel, bubblewrap, the compiler and the caller are trusted.

Covered, each by a program in tests/judge/hostile:

- files: the program sees /usr, the loader cache, /proc of its own namespace, four devices, and the files
  it is given, all read-only; at most a private /tmp and a private /dev/shm, with caps of size and inodes.
  Inputs are sealed memory.
- processes: a pid namespace per run, a process cap, everything killed when the program ends, is stopped, or
  the caller dies; as root the sandbox first becomes an ordinary user.
- the next run: it has its own processes, mounts and files. What a thread's runs share (user, network, UTS,
  IPC and cgroup namespace, a read-only root; see `sandbox`) is out of a program's reach.
- time: CPU over the whole process tree, and wall time. Children whose parent ignores SIGCHLD escape CPU
  accounting; the wall limit bounds what that wins, most tightly where the caller is pinned to one core.
- memory: a cgroup (v1, or v2 where delegated) or, without one, address-space limits plus the tree's
  resident memory sampled every 10 ms, which overshoots by what a program can touch in that time.
  `check` says which it is; it is recorded with results.
- output: file size caps; stdout and stderr are memory, not disk.
- kernel: no network, no sockets, no new privileges, no new namespaces, no ptrace, io_uring, bpf, keyrings,
  shared memory segments, nor foreign system-call tables (seccomp).

Not covered: kernel bugs, hardware side channels, contention for caches, memory bandwidth and disk, reading
the world-readable files below /usr, and a denial of service against another user's cgroup.

Code is never run without the sandbox: `require` raises `SandboxUnavailable` with the remedy.
"""

from eval.sandbox.files import Sealed, scratch
from eval.sandbox.health import SandboxUnavailable, accounting, require
from eval.sandbox.runs import Limits, Outcome, Run, inside, run, start
from eval.sandbox.sandbox import Interpreter, SandboxError, hang_up

__all__ = [
    "Interpreter",
    "Limits",
    "Outcome",
    "Run",
    "SandboxError",
    "SandboxUnavailable",
    "Sealed",
    "accounting",
    "hang_up",
    "inside",
    "require",
    "run",
    "scratch",
    "start",
]
