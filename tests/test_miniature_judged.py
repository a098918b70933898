"""Through the real judge: every gold solution of both contests is accepted, mutated ones are not."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from worlds import world_config

from eval.judge import Format, Submission, judge
from tessy.miniature.contests import write_livecodebench_pro, write_ojbench
from tessy.miniature.dialects import STUDENT, TEACHER, answer
from tessy.miniature.traces import gold, mutants
from tessy.miniature.world import World

pytestmark = pytest.mark.sandbox

CONTESTS: list[tuple[Format, str]] = [("dmoj", "python"), ("lightcp", "cpp")]


@pytest.mark.parametrize(("contest", "language"), CONTESTS)
def test_gold_is_accepted_and_mutants_are_wrong(contest: Format, language: str, tmp_path: Path) -> None:
    world = World.build(world_config(train_problems=2, eval_problems=4), 11)
    write = write_ojbench if contest == "dmoj" else write_livecodebench_pro
    write(world, tmp_path)
    submissions = []
    for problem in world.contests[language]:
        right = [(d, gold(world, problem, language, d)) for d in (STUDENT, TEACHER)]
        wrong = [(STUDENT, code) for code in islice(mutants(world, problem, language), 0, None, 17)]
        for label, programs in (("gold", right), ("mutant", wrong)):
            for dialect, code in programs:
                response = answer(dialect, language, code)
                submissions.append(
                    Submission(problem.problem_id, language, response=response, sample_id=label)
                )
    verdicts = {(row.sample_id, row.verdict) for row in judge(submissions, format=contest, problems=tmp_path)}
    assert verdicts == {("gold", "AC"), ("mutant", "WA")}
