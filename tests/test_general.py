"""The stage `lm_eval`, as far as it goes without a model: which task, which data, what it refuses."""

from __future__ import annotations

import importlib.util
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


GSM8K = [{"question": f"{n} plus {n}?", "answer": f"It is {2 * n}. #### {2 * n}"} for n in range(100, 112)]
EXAMPLES = [{"question": f"{n} minus 1?", "answer": f"It is {n - 1}. #### {n - 1}"} for n in range(6)]


def gsm8k(folder: Path, examples: list[dict[str, str]] | None = None) -> LmEvalBenchmark:
    data = write_jsonl(folder / "gsm8k.jsonl", GSM8K)
    given = (
        {} if examples is None else {"fewshot_data": str(write_jsonl(folder / "examples.jsonl", examples))}
    )
    return benchmark("gsm8k", data=str(data), **given)


def test_examples_never_come_from_the_rows_that_are_tested(tmp_path: Path) -> None:
    from eval.general import load_task
    from eval.lm_tasks import check

    with pytest.raises(
        UserError, match=r"shows 5 examples .* give others in a .jsonl file as `fewshot_data`"
    ):
        check(gsm8k(tmp_path))
    with pytest.raises(UserError, match=r"examples.jsonl, line 6: this example is tested, too, in line 3 of"):
        check(gsm8k(tmp_path, [*EXAMPLES[:5], GSM8K[2]]))
    with pytest.raises(UserError, match=r"has 4 examples where task gsm8k shows 5"):
        check(gsm8k(tmp_path, EXAMPLES[:4]))
    given = gsm8k(tmp_path, EXAMPLES)
    check(given)
    task = load_task(given, None, 0)
    task.build_all_requests(limit=None, rank=0, world_size=1)
    prompts = [instance.args[0] for instance in task.instances]
    assert len(prompts) == len(GSM8K)
    for prompt, row in zip(prompts, GSM8K, strict=True):
        assert prompt.count("####") == 5
        assert not any(other["answer"] in prompt for other in GSM8K)
        assert prompt.endswith(f"Question: {row['question']}\nAnswer:")


def test_examples_for_a_task_that_shows_none_are_refused(tmp_path: Path) -> None:
    from eval.lm_tasks import check

    data = str(write_jsonl(tmp_path / "aime.jsonl", [{"Problem": "One?", "Answer": 1}]))
    with pytest.raises(UserError, match="shows no examples; remove `fewshot_data`"):
        check(benchmark("tessy_aime2024", data=data, fewshot_data=data))


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    from eval.lm_tasks import check

    given = gsm8k(tmp_path, EXAMPLES)
    (tmp_path / "examples.jsonl").write_text('{"question": "a"}\n{"ques')
    with pytest.raises(UserError, match=r"examples.jsonl, line 2: no JSON"):
        check(given)


def test_a_task_whose_packages_are_missing_names_the_command() -> None:
    from eval.lm_tasks import check

    pytest.importorskip("sympy")
    if importlib.util.find_spec("math_verify"):
        pytest.skip("lm-eval's packages for mathematics are installed")
    with pytest.raises(UserError, match=r"packages that are not .*: pip install 'lm-eval\[math\]==0\.4\."):
        check(benchmark("minerva_math_algebra"))
