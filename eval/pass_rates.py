"""How often a model solves problems that come with tests: answered through its engine, judged in the sandbox.

Problems and tests are written as a LiveCodeBench file, so that prompts, extraction and the judge are those of
an evaluation; answers and verdicts are journaled as there. Programs are in Python and read standard input.

Not covered: tests that call a function or need a checker; such problems count as having none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from eval.benchmarks import load
from eval.code import Asked, generate, judge_responses
from tessy.artifacts import write_text
from tessy.config.base import Generation, part
from tessy.config.evaluate import CodeBenchmark
from tessy.config.selection import PassRate
from tessy.generation.models import NamedModel
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig

NAME = "pass_rate"


def pass_rates(
    job: Job[StageConfig],
    settings: PassRate,
    problems: Mapping[str, tuple[str, Sequence[tuple[str, str]]]],
    model: NamedModel,
    seed: int,
) -> dict[str, float]:
    """The share of right answers by key of `problems`, (statement, tests) each. A problem none of whose
    answers could be judged is missing."""
    folder = job.work / NAME
    write_text(folder / "test6.jsonl", "".join(_line(key, *found) for key, found in problems.items()))
    benchmark = CodeBenchmark(
        name=NAME, kind="livecodebench_v6", source=str(folder), instruction="ours", mode="fixed"
    )
    contest = load(benchmark)
    asked = Asked(NAME, part(Generation, settings), seed, settings.samples, model)
    responses = generate(job, asked, contest.problems)
    judged = judge_responses(job, benchmark, responses, contest.tests)
    right, judgeable = Counter[str](), Counter[str]()
    for row in judged.values():
        if row["verdict"] not in ("IE", "SKIP"):
            judgeable[row["problem_id"]] += 1
            right[row["problem_id"]] += row["verdict"] == "AC"
    return {key: right[key] / times for key, times in judgeable.items()}


def _line(key: str, statement: str, tests: Sequence[tuple[str, str]]) -> str:
    cases = [{"input": given, "output": expected, "testtype": "stdin"} for given, expected in tests]
    row = {
        "question_id": key,
        "question_content": statement,
        "platform": "unknown",
        "contest_date": "2000-01-01T00:00:00",
        "difficulty": "unknown",
        "starter_code": "",
        "metadata": "{}",
        "public_test_cases": json.dumps(cases),
        "private_test_cases": "[]",
    }
    return json.dumps(row) + "\n"
