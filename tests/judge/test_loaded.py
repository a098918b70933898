"""Problems are loaded once for those who share them, and leave nothing on disk that has a name."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eval.judge.loaded import Loaded
from eval.judge.records import Checker, JudgeProblem, Stream
from eval.judge.spool import Spool


def problem(problem_id: str) -> JudgeProblem:
    return JudgeProblem(problem_id, (), Checker("standard"))


def test_who_comes_while_a_problem_is_loaded_waits_for_it() -> None:
    asked: list[str] = []

    def load(problem_id: str) -> JudgeProblem:
        asked.append(problem_id)
        time.sleep(0.05)
        return problem(problem_id)

    problems, together = Loaded(load, kept=2), threading.Barrier(8)

    def ask(number: int) -> JudgeProblem:
        together.wait()
        return problems["ab"[number % 2]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert sorted(asked) == ["a", "b"]
    assert len({id(one) for one in found}) == 2


def test_only_those_used_last_are_kept() -> None:
    asked: list[str] = []
    problems = Loaded(lambda problem_id: asked.append(problem_id) or problem(problem_id), kept=2)
    for problem_id in "abacab":
        problems[problem_id]
    assert "".join(asked) == "abcb"


def test_a_failure_to_load_is_no_ones_but_who_asked() -> None:
    trouble = [OSError("no room")]

    def load(problem_id: str) -> JudgeProblem:
        if trouble:
            raise trouble.pop()
        return problem(problem_id)

    problems = Loaded(load, kept=1)
    with pytest.raises(OSError, match="no room"):
        problems["a"]
    assert problems["a"].problem_id == "a"


def test_what_is_put_on_disk_is_read_back_and_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool()
    contents = [b"", b"a", b"bc" * 1_000_000, b""]
    streams = [Stream("x", spool.put(content)) for content in contents]
    del spool
    for stream, content in reversed(list(zip(streams, contents, strict=True))):
        with stream.open() as another:
            assert stream.read() == content
            assert another.read(9) == content[:9]
    assert not list(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del streams, stream, another
    assert len(os.listdir("/proc/self/fd")) == before
