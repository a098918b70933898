"""Judging shared by several processes: every verdict once, the same as by one, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eval.code import CONDITIONS
from tests.shared_judging import expected, journaled, stage_at, verdicts

pytestmark = pytest.mark.sandbox

STAGE = [sys.executable, "-P", "-m", "tessy.runtime.job"]
ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*STAGE, *arguments], env=ENVIRONMENT)


def busy(folder: Path) -> int:
    """How many processes have judged something."""
    return sum(path.stat().st_size > 0 for path in folder.glob("work/*.journal/done-*.jsonl"))


def test_two_workers_judge_what_one_does(tmp_path: Path) -> None:
    folder = stage_at(tmp_path, 40, workers=2)
    assert start(str(folder)).wait(120) == 0
    assert verdicts(folder) == expected(40)
    assert not (folder.with_suffix("") / "work").exists()


def test_a_worker_that_is_killed_costs_nothing_but_what_it_had_begun(tmp_path: Path) -> None:
    folder = stage_at(tmp_path, 200)
    first, second = start(str(folder)), start("--join", str(folder))
    while busy(folder) < 2:
        time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    second.wait()
    while len(found := journaled(folder)) < 190:
        time.sleep(0.01)
    assert set(found.values()) == {1}
    assert first.wait(120) == 0
    assert verdicts(folder) == expected(200)


def test_where_conditions_differ_nobody_judges(tmp_path: Path) -> None:
    folder = stage_at(tmp_path, 8)
    (folder / "work").mkdir()
    (folder / "work" / CONDITIONS.format("lcb")).write_text('{"memory limited by": "another way"}')
    command = [*STAGE, "--join", str(folder)]
    told = ENVIRONMENT | {"TESSY_PROGRESS_FD": "2"}
    done = subprocess.run(command, env=told, capture_output=True, text=True)
    assert done.returncode == 2
    assert "judge on machines that are alike" in done.stderr
