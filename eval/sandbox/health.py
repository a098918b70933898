"""Can this machine isolate programs, how strongly, and if not, what would repair it?"""

from __future__ import annotations

import functools
import os
import platform
import shutil
from pathlib import Path

from eval.sandbox import helper
from eval.sandbox.cgroups import accounting as accounting
from eval.sandbox.files import read_all, scratch
from eval.sandbox.runs import MIB, Limits, run
from eval.sandbox.sandbox import SandboxError

OLDEST_KERNEL = (5, 14)
"""From here on a process limit counts per user namespace, and `close_range` exists."""


class SandboxUnavailable(ValueError):
    """No isolation can be had here; the message says why and what repairs it."""


@functools.cache
def require() -> None:
    """Return if programs can be isolated here; raise `SandboxUnavailable` with the remedy otherwise."""
    for trouble in (_platform(), _bubblewrap(), _helper(), _namespaces()):
        if trouble:
            raise SandboxUnavailable(f"sandbox: {trouble}")


def _platform() -> str | None:
    system, release = platform.system(), platform.release()
    if system != "Linux":
        return f"it needs Linux, and this is {system}; run the judge on a Linux machine"
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if version < OLDEST_KERNEL:
        return f"kernel {release} is too old; it needs {'.'.join(map(str, OLDEST_KERNEL))} or newer"
    return None


def _bubblewrap() -> str | None:
    if shutil.which("bwrap", path="/usr/bin"):
        return None
    return "/usr/bin/bwrap is missing; install it: apt-get install bubblewrap (or dnf install bubblewrap)"


def _helper() -> str | None:
    try:
        helper.init()
    except OSError as error:
        return f"{error}; install a C++ compiler: apt-get install g++"
    return None


def _namespaces() -> str | None:
    limits = Limits(cpu_s=5, wall_s=10, memory=64 * MIB, stdout=4096, tmp=MIB)
    out, err = scratch(), scratch()
    try:
        argv = ["/usr/bin/cat", "/proc/self/status"]
        outcome = run(argv, limits, files={}, stdin=None, stdout=out, stderr=err)
        status = dict(line.split(":\t") for line in read_all(out).decode().splitlines() if ":\t" in line)
    except SandboxError as error:
        return f"{error}; {_remedy()}"
    finally:
        os.close(out)
        os.close(err)
    if outcome.exit_code != 0:
        return f"a test program ended with {outcome}; {_remedy()}"
    if int(status["CapBnd"], 16) & int(status["CapEff"], 16) or status["NoNewPrivs"] != "1":
        return "programs keep privileges inside the sandbox; report this as a bug"
    if status["Seccomp"] != "2":
        return "the kernel has no seccomp filters; use a kernel with CONFIG_SECCOMP_FILTER"
    return None


def _remedy() -> str:
    """The likeliest repair, from what the kernel says about user namespaces."""
    switches = {
        "kernel/unprivileged_userns_clone": "1",
        "kernel/apparmor_restrict_unprivileged_userns": "0",
    }
    for name, good in switches.items():
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text().strip() != good:
            return f"allow user namespaces: sysctl -w {name.replace('/', '.')}={good}"
    if Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0":
        return "allow user namespaces: sysctl -w user.max_user_namespaces=10000"
    noexec = Path("/proc/sys/vm/memfd_noexec")
    if noexec.exists() and noexec.read_text().strip() == "2":
        return "allow programs in sealed memory: sysctl -w vm.memfd_noexec=0"
    return (
        "user namespaces or mounts are refused here; in a container, start it with "
        "--security-opt seccomp=unconfined --security-opt systempaths=unconfined"
    )
