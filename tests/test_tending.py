"""Workers are kept alive: the lost are replaced, the faulty a few times; one that refuses takes no other."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tessy.cluster import Broken, Work
from tessy.cluster.local import LocalExecutor
from tessy.errors import UserError

COUNTED = """
import os, signal, sys
from pathlib import Path
name = os.environ["TESSY_WORKER"]
begun = Path(sys.argv[1]) / f"begun-{name}"
begun.write_text(begun.read_text() + "x" if begun.exists() else "x")
"""


def work(folder: Path, code: str, count: int = 2, **fields: Any) -> Work:
    return Work("a stage", [sys.executable, "-c", COUNTED + code, str(folder)], folder / "w", count, **fields)


def until(found: Callable[[], object], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(folder: Path, number: int) -> int:
    path = folder / f"begun-worker-{number}"
    return len(path.read_text()) if path.exists() else 0


def test_who_was_killed_is_replaced(tmp_path: Path) -> None:
    code = "if len(begun.read_text()) < 3: os.kill(os.getpid(), signal.SIGKILL)"
    with LocalExecutor().start(work(tmp_path, code)) as workers:
        until(lambda: workers.check() or workers.finished)
        assert workers.describe() == "2 of 2 workers"
    assert [begun(tmp_path, number) for number in range(2)] == [3, 3]


def test_one_that_always_fails_ends_the_stage_with_its_log(tmp_path: Path) -> None:
    code = "sys.exit('no such module')"
    said = r"(?s)worker-0 ended 4 times with a fault.*no such module"
    with LocalExecutor().start(work(tmp_path, code, 1)) as workers, pytest.raises(RuntimeError, match=said):
        until(workers.check)
    assert begun(tmp_path, 0) == 4


REFUSE = """
if name in sys.argv[2:]:
    error = b'{"error": "node7: no isolation here; install bubblewrap"}\\n'
    os.write(int(os.environ["TESSY_PROGRESS_FD"]), error)
    sys.exit(2)
"""


def test_a_machine_that_refuses_takes_no_other_with_it(tmp_path: Path) -> None:
    one = work(tmp_path, REFUSE)
    with LocalExecutor().start(Work(one.name, [*one.command, "worker-1"], one.folder, 2)) as workers:
        until(lambda: workers.check() or "1 refused: node7" in workers.describe())
        until(lambda: workers.check() or workers.describe().startswith("1 of 2 workers"))
    both = Work(one.name, [*one.command, "worker-0", "worker-1"], tmp_path / "both", 2)
    with LocalExecutor().start(both) as workers, pytest.raises(UserError, match="install bubblewrap"):
        until(workers.check)


def test_of_a_gang_nobody_is_replaced(tmp_path: Path) -> None:
    code = "sys.exit(1) if name == 'worker-1' else signal.pause()"
    with LocalExecutor().start(work(tmp_path, code, gang=True)) as workers, pytest.raises(Broken) as broken:
        until(workers.check)
    assert broken.value.statuses == {"worker-1": 1}
    assert begun(tmp_path, 1) == 1
