"""Whatever runs under a guard ends with whoever started it, children and all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid

from tessy.engines import guard
from tests.processes import MARK, becomes, marked

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


def start(mark: str, program: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", STARTER, guard.__file__, program]
    return subprocess.Popen(command, env={**os.environ, MARK: mark})


def test_a_guarded_family_ends_with_its_starter() -> None:
    mark = uuid.uuid4().hex
    with start(mark, FAMILY) as starter:
        assert becomes(mark, 1 + 1 + 4)
        starter.kill()
    assert becomes(mark, 0)


def test_a_guard_that_is_told_to_end_takes_the_family_along() -> None:
    mark = uuid.uuid4().hex
    with start(mark, FAMILY) as starter:
        assert becomes(mark, 1 + 1 + 4)
        os.kill(next(pid for pid in sorted(marked(mark)) if pid != starter.pid), signal.SIGTERM)
        assert becomes(mark, 1)
        starter.kill()


def test_no_orphan_survives_its_command() -> None:
    mark = uuid.uuid4().hex
    with start(mark, ORPHANS) as starter:
        assert becomes(mark, 1 + 1 + 2)
        assert becomes(mark, 1)
        starter.kill()


def test_the_status_is_the_commands_own() -> None:
    command = [sys.executable, "-IS", guard.__file__, str(os.getpid()), sys.executable, "-c", "exit(7)"]
    assert subprocess.run(command).returncode == 7
