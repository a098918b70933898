"""Processor time is put down to whoever used it."""

from __future__ import annotations

import subprocess
import sys

from tessy.bench.costs import SELF, microseconds_per_token, processor_seconds

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


def test_a_servers_time_is_its_own_and_that_of_all_below_it_the_engines() -> None:
    command = [sys.executable, "-c", PARENT, "the-model"]
    pipe = subprocess.PIPE
    before = processor_seconds({})
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as server:
        assert server.stdout is not None
        server.stdout.readline()
        seconds = processor_seconds({"the-model": "student", "another": "teacher"})
        server.communicate(b"\n")
    # Others below this process may be those of other tests.
    assert set(seconds) - {"other"} == {SELF, "student api", "student engine"}
    assert 0.25 < seconds["student engine"] < 1
    assert seconds[SELF] >= before[SELF] > 0


def test_per_token_the_largest_comes_first() -> None:
    before, after = {"a": 1.0, "b": 2.0, "idle": 1.0}, {"a": 1.5, "b": 3.0, "c": 0.001, "idle": 1.0}
    assert list(microseconds_per_token(before, after, 1000).items()) == [("b", 1000), ("a", 500), ("c", 1)]
