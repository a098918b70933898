"""Who judges what, when and where: order, company, and what a time limit missed by little leads to."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from eval.judge import Submission, judge, verdicts
from eval.judge.records import MIB, Case, Place
from eval.judge.selftest import _write_lightcp
from eval.judge.workers import Workers, _Machine, physical_cores
from eval.sandbox import Outcome

ON_ONE_CORE = """#include <cstdio>
#include <sched.h>
int main() { cpu_set_t set; sched_getaffinity(0, sizeof set, &set);
    long long a, b; scanf("%lld %lld", &a, &b); printf("%lld", CPU_COUNT(&set) == 1 ? a + b : -1); }"""


def test_within_a_window_what_has_most_tests_is_judged_first() -> None:
    where = {name: Place(Path(name), size) for name, size in (("small", 1), ("large", 9), ("middle", 5))}
    todo = [Submission(name, "cpp", code="") for name in ("small", "large", "small", "middle")]
    workers = Workers("lightcp", ("strict",), where, todo, 1, window=4, refused=lambda _: "")
    waiting = list(iter(workers._next_job, None))
    assert [job.submission.problem_id for job in waiting] == ["large", "middle", "small", "small"]
    assert [job.index for job in waiting] == [1, 3, 0, 2]


def test_who_is_alone_waits_for_the_others_and_keeps_them_out() -> None:
    machine, said = _Machine(), list[str]()
    inside, over = threading.Event(), threading.Event()

    def first() -> None:
        with machine.shared():
            inside.set()
            over.wait()
            said.append("first")

    def later() -> None:
        with machine.shared():
            said.append("later")

    def alone() -> None:
        with machine.alone():
            threads[2].start()
            threads[2].join(0.05)
            said.append("alone")

    threads = [threading.Thread(target=one) for one in (first, alone, later)]
    threads[0].start()
    inside.wait()
    threads[1].start()
    over.set()
    for thread in threads[:2]:
        thread.join()
    threads[2].join()
    assert said == ["first", "alone", "later"]


@pytest.mark.parametrize(("used_s", "again"), [(9.9, False), (10.0, False), (10.1, True), (11.3, False)])
def test_a_limit_missed_by_little_is_tried_again(used_s: float, again: bool) -> None:
    case = Case("1", None, None, time_s=10, memory=MIB, output=MIB)
    ran = Outcome("exit", 0, None, cpu_s=used_s, wall_s=used_s, queued_s=0, memory=0, main_memory=0)
    assert verdicts.near_limit("lightcp", ran, case, "strict") is again
    slept = replace(ran, cpu_s=0)
    assert verdicts.near_limit("dmoj", slept, case, "strict") is again
    assert not verdicts.near_limit("dmoj", slept, case, "fixed")


@pytest.mark.sandbox
def test_workers_that_fill_the_machine_have_a_core_each(tmp_path: Path) -> None:
    _write_lightcp(tmp_path / "lightcp")
    todo = [Submission("sum", "cpp", code=ON_ONE_CORE)] * 4
    cores = physical_cores()
    assert len(set(cores)) == len(cores) <= len(os.sched_getaffinity(0))
    judged = judge(todo, format="lightcp", problems=tmp_path / "lightcp", workers=len(cores))
    assert {one.verdict for one in judged} == {"AC"}
