"""Sandboxes that stand ready: shared by a thread's runs, which find nothing of each other."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval.sandbox import Limits, Outcome, SandboxError, Sealed, run, scratch, start
from eval.sandbox.files import read_all

pytestmark = pytest.mark.sandbox

LIMITS = Limits(cpu_s=2, wall_s=4, memory=64 << 20, stdout=1 << 20, tmp=1 << 20, shared=1 << 20)
LEAVE = """echo mark > /tmp/mark; echo mark > mark; mkdir /tmp/d; setsid sleep 100 & sleep 0.1
echo mark > /dev/shm/mark
echo mark > /box/mark; mount -t tmpfs tmpfs /box; hostname mark; kill -9 1; kill -9 -1
"""
LOOK = """ls -A /tmp /box /dev/shm/; ls -d /proc/[0-9]*
wc -l < /proc/self/mountinfo; hostname; pwd; ls /proc/self/fd
"""


def shell(script: str, limits: Limits = LIMITS) -> tuple[Outcome, str]:
    out, err = scratch(), scratch()
    try:
        with Sealed(b"something") as content:
            outcome = run(
                ("/bin/sh", "-c", script),
                limits,
                files={"/box/given": content},
                stdin=None,
                stdout=out,
                stderr=err,
            )
        return outcome, read_all(out).decode()
    finally:
        os.close(out)
        os.close(err)


def sandboxes() -> set[int]:
    """The sandboxes of this process: its children that are bubblewrap."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for path in children for pid in path.read_text().split()}
    return {pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "bwrap"}


def in_a_thread(action: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def test_a_run_finds_nothing_of_the_one_before() -> None:
    def check() -> None:
        before = sandboxes()
        _, clean = shell(LOOK)
        sandbox = sandboxes() - before
        assert len(sandbox) == 1
        for _ in range(3):
            shell(LEAVE)
            assert shell(LOOK)[1] == clean
        assert shell("echo mark > /dev/shm/mark && cat /dev/shm/mark")[1] == "mark\n"
        assert shell("ls /dev/shm/", replace(LIMITS, shared=0))[0].exit_code != 0
        assert sandboxes() - before == sandbox, "the runs were not in one sandbox, so this shows nothing"

    in_a_thread(check)


def test_programs_do_not_ignore_what_the_caller_ignores() -> None:
    ended: list[tuple[Outcome, str]] = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        in_a_thread(lambda: ended.append(shell("kill -INT $$; echo ignored")))
    finally:
        signal.signal(signal.SIGINT, before)
    assert [(outcome.signal, said) for outcome, said in ended] == [(signal.SIGINT, "")]


def test_output_that_somebody_still_reads_is_not_charged_to_the_next_run() -> None:
    out, size = scratch(), 24 << 20
    wide = replace(LIMITS, stdout=2 * size)
    argv = ("/usr/bin/head", "-c", str(size), "/dev/zero")
    run(argv, wide, files={}, stdin=None, stdout=out, stderr=out)
    outcome, _ = shell("true")
    assert os.fstat(out).st_size == size
    assert outcome.memory < size / 2
    os.close(out)


def test_a_sandbox_ends_with_its_thread() -> None:
    before = sandboxes()
    in_a_thread(lambda: shell("true"))
    assert sandboxes() == before


def test_programs_at_the_same_time_are_in_different_sandboxes() -> None:
    def check() -> None:
        before, sink = sandboxes(), os.open("/dev/null", os.O_RDWR)
        boxes = [
            start(("/bin/sleep", "0.1"), LIMITS, files={}, stdin=sink, stdout=sink, stderr=sink)
            for _ in range(3)
        ]
        assert len(sandboxes() - before) == 3
        boxes[0].abandon()
        assert [box.wait().exit_code for box in boxes[1:]] == [0, 0]
        assert len(sandboxes() - before) == 2
        os.close(sink)

    in_a_thread(check)


def test_a_dead_sandbox_is_replaced() -> None:
    def check() -> None:
        before = sandboxes()
        shell("true")
        for pid in sandboxes() - before:
            os.kill(pid, signal.SIGKILL)
        try:
            outcome, _ = shell("exit 5")
        except SandboxError:  # it died only after it was lent
            outcome, _ = shell("exit 5")
        assert outcome.exit_code == 5

    in_a_thread(check)


def test_a_forked_process_leaves_its_parents_sandbox_alone() -> None:
    shell("true")
    child = os.fork()
    if child == 0:
        outcome, said = shell("echo child")
        os._exit(0 if outcome.exit_code == 0 and said == "child\n" else 1)
    outcomes = [shell("echo parent") for _ in range(10)]
    assert os.waitpid(child, 0)[1] == 0
    assert {said for _, said in outcomes} == {"parent\n"}


EXEC = """import ctypes, platform
number = 322 if platform.machine() == "x86_64" else 281
argv = (ctypes.c_char_p * 3)(b"echo", b"ran", None)
ctypes.CDLL(None).syscall(number, ctypes.c_long({directory}), b"/bin/echo", argv, None, {flags})
print("refused, and alive")
"""


@pytest.mark.parametrize(
    ("directory", "flags"), [("-1000", 0), ("-100", 0), ("0", 0), ("1 << 63", 0), ("-1", 0x1000)]
)
def test_a_program_that_works_alone_is_the_only_one_that_is_executed(directory: str, flags: int) -> None:
    out, alone = scratch(), replace(LIMITS, memory=256 << 20, solo=True)
    argv = ("/usr/bin/python3", "-c", EXEC.format(directory=directory, flags=flags))
    outcome = run(argv, alone, files={}, stdin=None, stdout=out, stderr=out)
    assert (outcome.ended, outcome.signal) == ("exit", signal.SIGSYS), read_all(out)
    company = run(argv, replace(alone, solo=False), files={}, stdin=None, stdout=out, stderr=out)
    assert (company.exit_code, read_all(out)) == (0, b"ran\n"), (
        "the call means no exec, so this shows nothing"
    )
    os.close(out)
