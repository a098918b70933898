"""Which tests of the benchmarks are in texts that a model was trained on before. Only reported, nothing is
removed.

Not covered: what a model may remember that no text at hand shows.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from tessy.curate.reading import Supply
from tessy.curate.reporting import shortened
from tessy.curation_rules.decontamination import BenchmarkIndex, Statement
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig

_REMEMBERED = 1 << 14


def audit(
    job: Job[StageConfig], supply: Supply, index: BenchmarkIndex, tests: tuple[Statement, ...]
) -> dict[str, Any]:
    """How many tests of each benchmark occur in the texts, with the first text of each."""
    title = supply.source.title
    seen, first, texts = Counter[Statement](), dict[Statement, dict[str, Any]](), 0
    # Texts repeat, in pre-training above all.
    matches = lru_cache(_REMEMBERED)(index.matches)
    for texts, draft in enumerate(supply.drafts(), start=1):
        for match in matches(draft.statement.prompt):
            seen[match.statement] += 1
            first.setdefault(
                match.statement,
                {
                    "benchmark": match.statement.benchmark,
                    "test_id": match.statement.test_id,
                    "rule": match.rule,
                    "score": match.score,
                    "source": title,
                    "origin": draft.origin,
                    "text": shortened(draft.statement.prompt),
                    "statement": shortened(match.statement.text),
                },
            )
        if texts % 256 == 0:
            job.progress(texts, max(supply.total, texts), "texts audited", title)
    every = Counter(test.benchmark for test in tests)
    found = Counter(test.benchmark for test in seen)
    return {
        "name": title,
        "texts": texts,
        "benchmarks": {name: {"tests": number, "found": found[name]} for name, number in every.items()},
        "matches": [{**first[test], "times": times} for test, times in seen.most_common()],
    }
