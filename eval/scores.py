"""Verdict rows: the score of a judged sample, and the card that records how a score was computed. Pure.

Not covered: means and intervals over problems and seeds (`tessy.statistics`, `tessy.report.scores`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from eval.benchmarks import KINDS, Contest
from eval.judge.extract import Format
from eval.judge.formats import FORMATS
from tessy.config.base import MINIATURE
from tessy.config.evaluate import CodeBenchmark
from tessy.records import Problem, Response

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


def scored(
    benchmark: CodeBenchmark,
    problems: Sequence[Problem],
    responses: Sequence[Response],
    judged: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """One row per response that was judged, with its verdict and the problem's tags.

    `fixed` is whether it passes in mode `fixed`: None where that was not judged, or decides nothing.
    """
    format = KINDS[benchmark.kind].format
    tags = {(problem.problem_id, problem.language): problem.tags for problem in problems}
    for r in responses:
        row = judged[r.sample_id]
        if row["verdict"] != "IE":
            passed = row["verdict"] == "AC"
            yield {
                **_verdict_row(benchmark, r.problem_id, r.language, tags[r.problem_id, r.language]),
                "passed": passed,
                "prefix": _prefixes(benchmark, [test["verdict"] for test in row["tests"]], passed),
                "fixed": decided(format, r.problem_id, row["fixed_verdict"]),
                "tokens": r.tokens,
                "truncated": r.truncated,
                "judgeable": True,
                **row,
            }


def failed(benchmark: CodeBenchmark, contest: Contest, samples: int) -> Iterator[dict[str, Any]]:
    """Rows of the problems that officially cannot be judged: they count as failed. `fixed` has none."""
    for problem in contest.problems if benchmark.mode == "strict" else ():
        if contest.judgeable(problem.problem_id) or not contest.counts(problem.problem_id):
            continue
        missing = problem.problem_id in contest.missing
        for number in range(samples):
            yield {
                **_verdict_row(benchmark, problem.problem_id, problem.language, problem.tags),
                "passed": False,
                "prefix": _prefixes(benchmark, [], False),
                "fixed": None,
                "tokens": 0,
                "truncated": False,
                "judgeable": False,
                "sample_id": f"{problem.problem_id}/{problem.language}#{number}",
                "verdict": "SKIP",
                "official": "Judge Failed" if missing else "Skip",
                "fixed_verdict": None,
                "detail": "no tests published" if missing else "the official judge skips this problem",
                "tests": [],
            }


def decided(format: Format, problem_id: str, verdict: str | None) -> bool | None:
    """Whether a verdict of mode `fixed` is a pass; None where it says nothing, as any does on a problem whose
    tests cannot tell a wrong answer."""
    if problem_id in FORMATS[format].errata or verdict in (None, "SKIP", "IE"):
        return None
    return verdict == "AC"


def _verdict_row(
    benchmark: CodeBenchmark, problem_id: str, language: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "benchmark": benchmark.name,
        "problem_id": problem_id,
        "language": language,
        "tags": dict(tags),
    }


def _prefixes(benchmark: CodeBenchmark, tests: Sequence[str], passed: bool) -> dict[str, bool] | None:
    if benchmark.kind != "ojbench":
        return None
    return {name: prefix_passed(tests, passed, share) for name, share in PREFIXES.items()}


def scorecard(
    benchmark: CodeBenchmark,
    contest: Contest,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    unjudged: int,
) -> dict[str, Any]:
    """The protocol behind a score, which problems it is over, and the bare counts of one checkpoint.

    `rows` are the benchmark's verdicts; `settings` is what else decided: `samples`, `max_tokens`, `sampler`.
    """
    kind = KINDS[benchmark.kind]
    judged = [row for row in rows if row["judgeable"]]
    return {
        "benchmark": benchmark.model_dump(mode="json"),
        "protocol": {
            "title": kind.title,
            "source": _pinned(benchmark.source, benchmark.revision),
            "tests": _pinned(benchmark.tests, benchmark.tests_revision),
            "prompt": contest.asked,
            "prompts_sha256": digest(problem.prompt for problem in contest.problems),
            "extraction": kind.extraction
            if benchmark.mode == "strict"
            else "the last program after thinking",
            "judge": f"{kind.format}, {benchmark.mode}",
            **settings,
        },
        "problems": coverage(benchmark, contest),
        "scores": {
            "pass@1": sum(row["passed"] for row in rows) / max(1, len(rows)),
            "truncated": sum(row["truncated"] for row in judged) / max(1, len(judged)),
            "unjudged": unjudged,
            "verdicts": dict(Counter(row["verdict"] for row in rows)),
            "fixed": difference(rows) if benchmark.mode == "strict" else None,
        },
    }


def difference(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of mode `fixed` on the same responses, and how often each verdict changed to another."""
    decided = [row["fixed"] for row in rows if row["fixed"] is not None]
    judged = [row for row in rows if row["fixed_verdict"] is not None]
    changes = Counter(f"{row['verdict']} to {row['fixed_verdict']}" for row in judged)
    return {
        "pass@1": sum(decided) / max(1, len(decided)),
        "responses": len(decided),
        "changed": {name: n for name, n in changes.items() if len(set(name.split(" to "))) > 1},
    }


def digest(prompts: Iterable[str]) -> str:
    """SHA-256 of all prompts in order."""
    return hashlib.sha256("\0".join(prompts).encode()).hexdigest()


def _pinned(source: str | None, revision: str | None) -> str | None:
    return f"{source}@{revision}" if revision else source


def coverage(benchmark: CodeBenchmark, contest: Contest) -> dict[str, Any]:
    """The problems that a score covers, and how those that cannot be judged were counted."""
    strict = benchmark.mode == "strict"
    asked = [problem.problem_id for problem in contest.problems]
    left_out = [name for name in asked if not contest.counts(name)]
    lost = sum(not contest.judgeable(name) for name in asked) - len(left_out)
    return {
        "denominator": len(asked) - len(left_out) - (0 if strict else lost),
        "paper_denominator": None if benchmark.source == MINIATURE else KINDS[benchmark.kind].paper_problems,
        "without_tests": sorted(contest.missing),
        "undecidable": sorted(contest.undecidable),
        "those_count_as": ("failed" if strict else "left out") if lost else None,
        "left_out": len(contest.unusable),
        "left_out_because": {
            name: why.replace(f"{contest.tests}/", "") for name, why in sorted(contest.unusable.items())
        },
        "released": list(contest.released) if contest.released else None,
    }
