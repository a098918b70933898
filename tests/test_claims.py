"""Claims: one owner at a time, whoever dies, on file systems with and without locks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tessy.bench.claims import measure
from tessy.claims import LEASE_S
from tessy.claims.files import FileClaims, first_wins

WORKER = """
import sys, time
from pathlib import Path
from tessy.claims.files import FileClaims
{before}
folder, keys, hold_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
claims = FileClaims(folder)
print(claims.owner, flush=True)
sys.stdin.readline()
with (folder / f"taken-{{claims.owner}}").open("w", buffering=1) as taken:
    for key in range(keys):
        if (number := claims.take(str(key))) is not None:
            taken.write(f"{{key}} {{number}}\\n")
            time.sleep(hold_s)
print("over", flush=True)
sys.stdin.readline()
claims.close()
"""
NO_LOCKS = """
import ctypes, struct
# flock (73) and fcntl's own locks are answered with ENOLCK, as by file systems that have none.
libc = ctypes.CDLL(None, use_errno=True)
def code(op, jt, jf, k): return struct.pack("HBBI", op, jt, jf, k)
program = b"".join([code(0x20, 0, 0, 0), code(0x15, 0, 1, 73), code(0x06, 0, 0, 0x00050000 | 37),
                    code(0x15, 0, 4, 72), code(0x20, 0, 0, 24), code(0x15, 1, 0, 6), code(0x15, 0, 1, 7),
                    code(0x06, 0, 0, 0x00050000 | 37), code(0x06, 0, 0, 0x7FFF0000)])
buffer = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_void_p)]
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Filter(len(program) // 8, ctypes.addressof(buffer)))) == 0
import fcntl
try:
    fcntl.flock(sys.stdin, fcntl.LOCK_SH)
    sys.exit("flock still works")
except OSError as error:
    assert error.errno == 37, error
"""
"""What refuses locks in a process, as a file system without them does (seccomp, x86-64)."""


def worker(folder: Path, keys: int, hold_s: float = 0, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER.format(before=before), str(folder), str(keys), str(hold_s)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def taken(folder: Path) -> list[tuple[str, int]]:
    """All claims that were made, as key and number."""
    lines = [line.split() for path in folder.glob("taken-*") for line in path.read_text().splitlines()]
    return [(key, int(number)) for key, number in lines]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system calls are named by their numbers there")
def test_many_processes_without_locks_take_every_key_once(tmp_path: Path) -> None:
    workers = [worker(tmp_path, 500, before=NO_LOCKS) for _ in range(6)]
    assert all(hear(one) for one in workers)
    for one in workers:
        tell(one)
    assert [hear(one) for one in workers] == ["over"] * 6
    for one in workers:
        one.communicate("\n", timeout=30)
    assert Counter(taken(tmp_path)) == {(str(key), 1): 1 for key in range(500)}


def test_what_a_killed_owner_had_is_taken_once_more_and_only_that(tmp_path: Path) -> None:
    victim, rng = worker(tmp_path, 40, hold_s=0.02), random.Random(0)
    hear(victim)
    tell(victim)
    while len(taken(tmp_path)) < rng.randrange(5, 20):
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    had = {key for key, _ in taken(tmp_path)}
    heirs = [worker(tmp_path, 40) for _ in range(3)]
    for one in heirs:
        hear(one)
    for one in heirs:
        tell(one)
    assert [hear(one) for one in heirs] == ["over"] * 3
    for one in heirs:
        one.communicate("\n", timeout=30)
    numbers = Counter(number for _, number in taken(tmp_path))
    assert numbers == {1: 40, 2: len(had)}


def test_a_living_owner_loses_nothing_and_a_closed_one_all(tmp_path: Path) -> None:
    first, second = FileClaims(tmp_path), FileClaims(tmp_path)
    assert first.take("a") == 1
    assert second.take("a") is None
    assert first.holds("a")
    first.close()
    second._life.forget()
    assert second.take("a") == 2
    assert not first.holds("a")
    second.close()


def test_an_owner_elsewhere_is_dead_by_the_file_systems_clock_not_by_its_own(tmp_path: Path) -> None:
    """Clocks of machines may differ by hours: both files are dated by one file system."""
    near, far = FileClaims(tmp_path), FileClaims(tmp_path)
    far._life.close()
    far._life._closed.clear()
    far._life.beat()
    path = tmp_path / f"owner-{far.owner}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "another"}))
    assert far.take("a") == 1
    for shift in (-7200.0, 7200.0):
        here = near._life._shown + time.monotonic() + shift
        near._life._shown += shift
        os.utime(path, (here, here - LEASE_S / 2))
        near._life.forget()
        assert near.take("a") is None
    os.utime(path, (here, here - LEASE_S - 1))
    near._life.forget()
    assert near.take("a") == 2
    near.close()


def test_a_claim_without_a_name_belongs_to_nobody_only_after_a_while(tmp_path: Path) -> None:
    """Its owner has just created the file, or died right there."""
    claims = FileClaims(tmp_path)
    path = claims._path("a", 1)
    path.parent.mkdir()
    path.touch()
    assert claims.take("a") is None
    old = time.time() - LEASE_S - 1
    os.utime(path, (old, old))
    assert claims.take("a") == 2
    claims.close()


@pytest.mark.parametrize("key", ["p0#0", "a/b", "..", "ä ö", "x" * 1000])
def test_keys_may_be_any_text(tmp_path: Path, key: str) -> None:
    claims = FileClaims(tmp_path)
    assert claims.take(key) == 1
    assert claims.take(key + "'") == 1
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 3, "two claims and a sign of life"
    claims.close()


def test_the_first_to_write_decides_for_all(tmp_path: Path) -> None:
    assert [first_wins(tmp_path / "x", text) for text in ("one", "two")] == ["one", "one"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_claims_are_measured(tmp_path: Path) -> None:
    found = measure(3, 60, tmp_path)
    assert (found["twice"], found["missing"], found["asked_in_vain"]) == (0, 0, 120)
    assert not list(tmp_path.iterdir())
