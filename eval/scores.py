"""What a judged sample is worth, and the card that says how a score came about. Pure.

Not covered: means and intervals over problems and seeds (`tessy.statistics`, `tessy.stages.scores`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eval.benchmarks import KINDS, Contest
from tessy.evaluation import CodeBenchmark

PREFIXES: Mapping[str, float] = {"1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2}
"""OJBench's shares of the tests for which it reports a verdict of their own."""


def prefix_passed(tests: Sequence[str], passed: bool, share: float) -> bool:
    """Whether a submission passes the first `share` of its tests, by OJBench's rule.

    `tests` are their verdicts in order. With m tests in the share, a first failure among them leaves the
    full verdict standing, a later one makes it AC. Half a test rounds to the even number.
    """
    first_failure = next((index for index, verdict in enumerate(tests) if verdict != "AC"), None)
    if first_failure is None:
        return passed
    return passed or first_failure >= round(len(tests) * share)


def scorecard(
    benchmark: CodeBenchmark,
    contest: Contest,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    unjudged: int,
) -> dict[str, Any]:
    """The protocol behind a score, which problems it is over, and the bare counts of one checkpoint.

    `rows` are the benchmark's verdicts; `settings` holds `samples`, `max_tokens` and `sampler`.
    """
    kind = KINDS[benchmark.kind]
    judged = [row for row in rows if row["judgeable"]]
    return {
        "benchmark": benchmark.model_dump(mode="json"),
        "protocol": {
            "title": kind.title,
            "prompt": kind.prompt if benchmark.instruction is None else "the recipe's instruction",
            "extraction": kind.extraction if benchmark.mode == "strict" else "the last fence after thinking",
            "judge": f"{kind.format}, {benchmark.mode}",
            **settings,
        },
        "problems": coverage(benchmark, contest),
        "scores": {
            "pass@1": sum(row["passed"] for row in rows) / max(1, len(rows)),
            "truncated": sum(row["truncated"] for row in judged) / max(1, len(judged)),
            "unjudged": unjudged,
            "verdicts": dict(Counter(row["verdict"] for row in rows)),
        },
    }


def coverage(benchmark: CodeBenchmark, contest: Contest) -> dict[str, Any]:
    """Over which problems a score is, and what became of those that cannot be judged."""
    strict = benchmark.mode == "strict"
    lost = sum(not contest.judgeable(problem.problem_id) for problem in contest.problems)
    return {
        "denominator": len(contest.problems) - (0 if strict else lost),
        "paper_denominator": KINDS[benchmark.kind].paper_problems,
        "without_tests": sorted(contest.missing),
        "undecidable": sorted(contest.undecidable),
        "those_count_as": "failed" if strict else "left out",
        "released": list(contest.released) if contest.released else None,
    }
