"""Whatever runs under a guard ends with whoever started it, children and all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tessy.engines import guard
from tests.processes import end, grows_to

FAMILY = "import os, time; os.fork(); os.fork(); time.sleep(60)"
"""Four processes."""
ORPHANS = "import os, sys, time; os.fork() or time.sleep(60); time.sleep(0.5); sys.exit(3)"
"""A process that ends and leaves a child behind."""
STARTER = (
    "import subprocess, sys, os, time; "
    "command = [sys.executable, '-c', sys.argv[2]]; "
    "guard = [sys.executable, '-IS', sys.argv[1], str(os.getpid())]; "
    "subprocess.Popen(guard + command, start_new_session=True); time.sleep(60)"
)


def start(program: str) -> subprocess.Popen[bytes]:
    """A process that starts `program` under a guard."""
    return subprocess.Popen([sys.executable, "-c", STARTER, guard.__file__, program])


def test_a_guarded_family_ends_with_its_starter() -> None:
    with start(FAMILY) as starter:
        family = grows_to(starter.pid, 5)
        starter.kill()
    assert end(family)


def test_a_guard_that_is_told_to_end_takes_the_family_along() -> None:
    with start(FAMILY) as starter:
        keeper, *family = grows_to(starter.pid, 5)
        os.kill(keeper, signal.SIGTERM)
        assert end(family)
        starter.kill()


def test_a_guard_that_is_killed_takes_its_command_along() -> None:
    with start("import time; time.sleep(60)") as starter:
        keeper, command = grows_to(starter.pid, 2)
        os.kill(keeper, signal.SIGKILL)
        assert end([command])
        starter.kill()


def test_no_orphan_survives_its_command() -> None:
    with start(ORPHANS) as starter:
        _, *family = grows_to(starter.pid, 3)
        assert end(family)
        starter.kill()


def test_the_status_is_the_commands_own() -> None:
    command = [sys.executable, "-IS", guard.__file__, str(os.getpid()), sys.executable, "-c", "exit(7)"]
    assert subprocess.run(command).returncode == 7
