"""The statements of benchmarks as their loaders give them, without the prompt around them: what training
problems must not be.

Also every answer option and every example of the task that its own loader puts into the question.

Not covered: comparing (`tessy.curation_rules.decontamination`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tessy.config.base import MINIATURE
from tessy.config.evaluate import MINIATURE_TASK, Benchmark, CodeBenchmark, LmEvalBenchmark
from tessy.curation_rules.decontamination import Statement
from tessy.miniature.files import OOD, contest


def statements(benchmark: Benchmark, world: Path | None, seed: int) -> Iterator[Statement]:
    """Every test of `benchmark`; `world` is the artifact of the miniature's world, if it is one of its.

    Raises `UserError` where the benchmark cannot be read.
    """
    if isinstance(benchmark, CodeBenchmark):
        yield from _code(benchmark, world)
    elif benchmark.task == MINIATURE_TASK:
        yield from _miniature(benchmark, world)
    else:
        yield from _lm_eval(benchmark, world, seed)


def _code(benchmark: CodeBenchmark, world: Path | None) -> Iterator[Statement]:
    from eval.benchmarks import statements_of

    miniature = None
    if benchmark.source == MINIATURE:
        assert world is not None
        miniature = contest(world, benchmark.kind)
    for problem in statements_of(benchmark, miniature):
        yield Statement(benchmark.name, problem.problem_id, problem.prompt)


def _miniature(benchmark: LmEvalBenchmark, world: Path | None) -> Iterator[Statement]:
    """What lm-eval would read of it, without loading lm-eval."""
    assert world is not None
    with (world / OOD).open(encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            yield Statement(benchmark.name, str(number), json.loads(line)["prompt"])


def _lm_eval(benchmark: LmEvalBenchmark, world: Path | None, seed: int) -> Iterator[Statement]:
    from eval.general import load_task

    task = load_task(benchmark, world, seed)
    for number, document in enumerate(task.eval_docs):
        if benchmark.limit is None or number < benchmark.limit:
            yield Statement(benchmark.name, str(number), str(task.doc_to_text(document)))
