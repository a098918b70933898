"""The stage `lm_eval`, as far as it goes without a model: which task, which data, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmark_samples import write_jsonl

from tessy.config.evaluate import LmEvalBenchmark
from tessy.errors import UserError

pytestmark = pytest.mark.slow


def benchmark(task: str, **fields: Any) -> LmEvalBenchmark:
    pinned = {"revision": "0" * 40} if "data" not in fields else {}
    return LmEvalBenchmark(name="b", kind="lm_eval", task=task, metric="exact_match", **pinned, **fields)


def test_local_documents_replace_a_task_s_own_and_repeats_are_ours(tmp_path: Path) -> None:
    from eval.general import load_task

    path = write_jsonl(tmp_path / "aime.jsonl", [{"Problem": "One?", "Answer": 1}])
    task = load_task(benchmark("tessy_aime2024", data=str(path)), None, 0)
    assert [doc["Answer"] for doc in task.test_docs()] == [1]
    assert task.config.repeats == 1


def test_an_unknown_task_names_the_nearest() -> None:
    from eval.general import load_task

    with pytest.raises(UserError, match="did you mean 'tessy_aime202"):
        load_task(benchmark("tessy_aime2204"), None, 0)


def test_a_metric_that_a_task_has_not_names_those_it_has() -> None:
    from eval.general import chosen

    sample = {"filter": "all", "metrics": ["acc"], "acc": 1.0, "doc_id": 0}
    with pytest.raises(UserError, match="metrics: acc; filters: all"):
        chosen({"samples": {"task": [sample]}}, benchmark("x", filter="all"))
