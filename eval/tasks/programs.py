"""Documents and scoring of the lm-eval tasks whose answer is a program: the judge, called from a filter.

A filter sees all responses at once, so they are judged in parallel and in the sandbox; without one nothing is
run. Problems that cannot be judged count as the benchmark's `mode` says, or are left out (`eval.benchmarks`).
Set TESSY_JUDGE_WORKERS for other than one program per physical core.

Not covered: several ranks; each judges its own share on the same machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from eval import answers
from eval.benchmarks import KINDS, Contest, examined, load
from eval.judge import Judgement, Submission, judge
from eval.scores import PREFIXES, decided, prefix_passed
from tessy.config.evaluate import CodeBenchmark

MOST_UNJUDGED = 0.01
"""Share of samples that may stay unjudged before a score is not to be believed."""


def documents(kind: str, **metadata: Any) -> dict[str, Any]:
    """The benchmark named in lm-eval's metadata as a dataset; its fields are those of a recipe."""
    from datasets import Dataset

    try:
        benchmark = CodeBenchmark.model_validate({"name": kind, "kind": kind, **metadata.get(kind, {})})
    except ValidationError as error:
        example = f'--metadata \'{{"{kind}": {{"source": "FOLDER"}}}}\''
        raise ValueError(f"task tessy_{kind}: say where its data is: {example}; {error}") from None
    return {"test": Dataset.from_list(list(_docs(benchmark, examined(benchmark, load(benchmark)))))}


ojbench = partial(documents, "ojbench")
livecodebench_pro = partial(documents, "livecodebench_pro")
livecodebench_v5 = partial(documents, "livecodebench_v5")
livecodebench_v6 = partial(documents, "livecodebench_v6")


def _docs(benchmark: CodeBenchmark, contest: Contest) -> Iterator[dict[str, Any]]:
    for problem in contest.problems:
        judgeable = contest.judgeable(problem.problem_id)
        if judgeable or (benchmark.mode == "strict" and contest.counts(problem.problem_id)):
            yield {
                "problem_id": problem.problem_id,
                "prompt": problem.prompt,
                "language": problem.language,
                "judgeable": judgeable,
                "format": KINDS[benchmark.kind].format,
                "tests": str(contest.tests),
                "mode": benchmark.mode,
                "prefixes": benchmark.kind == "ojbench",
                **{f"tag_{name}": tag for name, tag in problem.tags.items()},
            }


def judged(resps: Sequence[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """Per document, the outcome of each of its responses; raises where too many could not be judged."""
    work = [
        (f"{at}#{number}", doc, response)
        for at, (responses, doc) in enumerate(zip(resps, docs, strict=True))
        for number, response in enumerate(responses)
    ]
    verdicts = _verdicts([one for one in work if one[1]["judgeable"]])
    outcomes = [
        [_outcome(doc, response, verdicts.get(f"{at}#{number}")) for number, response in enumerate(responses)]
        for at, (responses, doc) in enumerate(zip(resps, docs, strict=True))
    ]
    lost = sum(outcome["passed"] is None for several in outcomes for outcome in several)
    if lost > MOST_UNJUDGED * len(work):
        raise ValueError(
            f"{lost} of {len(work)} samples could not be judged; nothing is scored; run tessy doctor"
        )
    return outcomes


def _verdicts(work: Sequence[tuple[str, Mapping[str, Any], str]]) -> dict[str, Judgement]:
    if not work:
        return {}
    submissions = [
        Submission(doc["problem_id"], doc["language"], response=_answer(response), sample_id=key)
        for key, doc, response in work
    ]
    first = work[0][1]
    workers = int(os.environ.get("TESSY_JUDGE_WORKERS", "0")) or None
    found = judge(
        submissions,
        format=first["format"],
        problems=Path(first["tests"]),
        mode="both" if first["mode"] == "strict" else "fixed",
        workers=workers,
    )
    return {judgement.sample_id: judgement for judgement in found}


def _answer(response: str) -> str:
    return answers.after_thinking(response)


def _outcome(doc: Mapping[str, Any], response: str, judgement: Judgement | None) -> dict[str, Any]:
    """`passed` is None where the judge failed, which says nothing about the program."""
    verdict = judgement.verdict if judgement else "SKIP"
    passed = None if verdict == "IE" else verdict == "AC"
    tests = [test.verdict for test in judgement.tests] if judgement else []
    return {
        "verdict": verdict,
        "passed": passed,
        "fixed": _fixed(doc, judgement),
        "truncated": answers.unfinished(response),
        "prefix": [prefix_passed(tests, bool(passed), share) for share in PREFIXES.values()],
    }


def _fixed(doc: Mapping[str, Any], judgement: Judgement | None) -> bool | None:
    """Whether it passes with the judge's faults repaired; None where that is not known."""
    if judgement is None or judgement.fixed is None:
        return None
    return decided(doc["format"], doc["problem_id"], judgement.fixed.verdict)


def results(doc: Mapping[str, Any], results: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Means over the samples of a document that were judged."""
    outcomes = [outcome for outcome in results[0] if outcome["passed"] is not None]
    values: dict[str, Any] = {
        "pass@1": _mean([outcome["passed"] for outcome in outcomes]),
        "pass@1_repaired": _mean([outcome["fixed"] for outcome in outcomes if outcome["fixed"] is not None]),
        "no_code": _mean([outcome["verdict"] == "NO_CODE" for outcome in outcomes]),
        "truncated": _mean([outcome["truncated"] for outcome in outcomes]),
        "unjudged": 1 - len(outcomes) / len(results[0]),
    }
    if doc["prefixes"]:
        for at, share in enumerate(PREFIXES):
            name = f"first_{share.replace('/', '_')}_of_tests"
            values[name] = _mean([outcome["prefix"][at] for outcome in outcomes])
    return values


def _mean(values: Sequence[bool]) -> float | None:
    return fmean(values) if values else None


def mean_of_judged(values: Sequence[float | None]) -> float:
    """The mean over the documents that have a value; not a number where none has."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else math.nan
