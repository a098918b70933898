"""Runs hostile programs in the sandbox, an honest one after each, and looks for what they left behind.

A program of its own, on the standard library alone, so that the test suite can run it as another user:
`hostile_runner.py FOLDER` runs FOLDER's built programs and prints one JSON object per program, then
one with the key `left`.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from eval.sandbox import Limits, Outcome, Sealed, accounting, require, run, scratch
from eval.sandbox.files import read_all

MIB = 1 << 20
SLOWNESS = float(os.environ.get("SLOWNESS", "1"))
"""How much slower than real ones the kernel and its memory are, where they are emulated."""
LIMITS = Limits(
    cpu_s=0.5 * SLOWNESS, wall_s=1.0 * SLOWNESS, memory=64 * MIB, stdout=MIB, stderr=MIB, processes=32,
    tmp=8 * MIB, inodes=256,
)  # fmt: skip
PYTHON = "/usr/bin/python3"
HONEST = b"#!/bin/sh\nread line && echo $line seen\n"
PR_SET_CHILD_SUBREAPER = 36


def attempt(argv: tuple[str, ...], program: bytes, path: str, limits: Limits) -> tuple[Outcome, str]:
    out, err = scratch(), scratch()
    try:
        with Sealed(program) as content, Sealed(b"input\n") as given:
            outcome = run(argv, limits, files={path: content}, stdin=given, stdout=out, stderr=err)
        return outcome, read_all(out, 2000).decode(errors="replace")
    finally:
        os.close(out)
        os.close(err)


def attack(path: Path) -> dict[str, object]:
    script = path.suffix == ".py"
    inside = "/box/main.py" if script else "/box/main"
    # A Python interpreter needs more room than the attacks do.
    argv = (PYTHON, "-BS", inside) if script else (inside,)
    limits = replace(LIMITS, shared=MIB) if path.stem == "fill_shared_memory" else LIMITS
    outcome, said = attempt(argv, path.read_bytes(), inside, limits)
    honest, answer = attempt(("/box/honest",), HONEST, "/box/honest", LIMITS)
    return {
        "name": path.name,
        "ended": "signal" if outcome.ended == "exit" and outcome.signal else outcome.ended,
        "outcome": repr(outcome),
        "said": said,
        "wall_s": outcome.wall_s / SLOWNESS,
        "honest": honest.exit_code == 0 and answer == "input seen\n",
    }


def left_in_sandboxes() -> list[str]:
    """Processes that outlived their run in a sandbox that stands ready for the next one.

    Below this process are bubblewraps, below each its process 1, and below that what is left.
    """
    sandboxes = [one for bwrap in _children(os.getpid()) for one in _children(bwrap)]
    return [
        Path("/proc", str(pid), "cmdline").read_text() for sandbox in sandboxes for pid in _children(sandbox)
    ]


def left_behind(before: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in state().items() if value != before[name]}


def state() -> dict[str, object]:
    """What must be the same afterwards. As a subreaper this process inherits every process that escapes."""
    groups = [path for parent in accounting().parents for path in parent.glob(f"judge-{os.getpid()}-*")]
    return {
        "children": _children(os.getpid()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "groups": [str(path) for path in groups],
        "temporary files": os.listdir(tempfile.gettempdir()),
        "shared memory": [name for name in os.listdir("/dev/shm") if "left" in name],
        "limits of this process": Path("/proc/self/limits").read_text(),
    }


def _children(pid: int) -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _parent(process) == pid]


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    require()
    attempt(("/box/honest",), HONEST, "/box/honest", LIMITS)
    before = state()
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(attack, sorted(Path(sys.argv[1]).iterdir())):
            print(json.dumps(result), flush=True)
        in_sandboxes = left_in_sandboxes()
    left = left_behind(before)
    print(
        json.dumps(
            {"left": left, "in sandboxes": in_sandboxes, "uid": os.getuid(), "kind": accounting().kind}
        )
    )


if __name__ == "__main__":
    main()
