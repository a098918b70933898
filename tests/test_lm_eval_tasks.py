"""Our lm-eval tasks as anyone would run them: local documents, a scripted model, lm-eval's own evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmark_samples import CPP, PYTHON, livecodebench, ojbench, pro_statement, pro_zips, write_jsonl
from official_samples import write_published

pytestmark = pytest.mark.slow
lm_eval = pytest.importorskip("lm_eval")
if lm_eval:
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

TASKS = Path(__file__).parents[1] / "eval" / "tasks"


class Scripted(LM):
    """Answers a prompt with `answer(prompt, n)` the n-th time it is asked."""

    def __init__(self, answer: Callable[[str, int], str]) -> None:
        super().__init__()
        self.answer, self.asked = answer, dict[str, int]()
        self.arguments: list[dict[str, Any]] = []

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return [self.one(*request.args) for request in requests]

    def one(self, prompt: str, arguments: dict[str, Any]) -> str:
        self.arguments.append(arguments)
        number = self.asked[prompt] = self.asked.get(prompt, -1) + 1
        return self.answer(prompt, number)

    def loglikelihood(self, requests: Any) -> Any:
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def evaluate(
    task: str, model: Scripted, data: Path | None = None, metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    """lm-eval's results of one task on local documents."""
    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)
    files = dict.fromkeys(("train", "test"), str(data))
    where = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    spec = {"group": "g", "task": [{"task": task, **(where if data else {})}]}
    result = lm_eval.evaluate(model, manager.load([spec]), bootstrap_iters=0)
    found: dict[str, Any] = result["results"][task]
    metrics = {key.partition(",")[0]: value for key, value in found.items() if key.endswith(",all")}
    return {name: value for name, value in metrics.items() if not name.endswith("_stderr")}


AIME = [{"ID": "1", "Problem": "One?", "Answer": 25}, {"ID": "2", "Problem": "Two?", "Answer": 204}]


@pytest.mark.parametrize("year", [2024, 2025])
def test_aime_counts_every_one_of_its_repeats(tmp_path: Path, year: int) -> None:
    rows = AIME if year == 2024 else [{"problem": r["Problem"], "answer": str(r["Answer"])} for r in AIME]
    right = {"One?": "025", "Two?": "204"}

    def answer(prompt: str, number: int) -> str:
        value = right[prompt.partition("\n")[0]]
        if number < 4:
            return f"<think>Question: is it \\boxed{{7}}?</think>It is \\boxed{{{value}}}."
        return "<think>\\boxed{25} or \\boxed{204}" if number < 8 else "<think>hm</think>I give up."

    model = Scripted(answer)
    found = evaluate(f"tessy_aime{year}", model, write_jsonl(tmp_path / "aime.jsonl", rows))
    assert found == {"exact_match": 0.25, "no_answer": 0.75, "truncated": 0.25}
    assert list(model.asked.values()) == [15, 15]
    (kwargs,) = {str(sorted(arguments.items())) for arguments in model.arguments}
    assert "('do_sample', True)" in kwargs
    assert "('until', [])" in kwargs


@pytest.mark.parametrize(("task", "opening"), [("", "Choose well: Which"), ("_ours", "Choose the right")])
def test_gpqa_shuffles_choices_the_same_way_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, opening: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_published(tmp_path / "cache" / "tessy" / "official")
    rows = [
        {
            "Record ID": f"rec{n}",
            "Question": f"Which is it, {n}?",
            "Correct Answer": f"right {n}",
            **{f"Incorrect Answer {i}": f"wrong {n}{i}" for i in (1, 2, 3)},
        }
        for n in range(12)
    ]

    def answer(prompt: str, number: int) -> str:
        line = next(line for line in prompt.splitlines() if ") right" in line)
        return f"<think>Answer: Z</think>So.\n**Answer: {line[0]}**"

    model = Scripted(answer)
    found = evaluate(f"tessy_gpqa_diamond{task}", model, write_jsonl(tmp_path / "gpqa.jsonl", rows))
    assert found == {"exact_match": 1.0, "no_answer": 0.0, "truncated": 0.0}
    again = Scripted(answer)
    evaluate(f"tessy_gpqa_diamond{task}", again, write_jsonl(tmp_path / "reversed.jsonl", rows[::-1]))
    assert set(again.asked) == set(model.asked)
    assert all(prompt.startswith(opening) for prompt in model.asked)
    letters = {answer(prompt, 0)[-3] for prompt in model.asked}
    assert len(letters) > 1


def olympiad(question: str, answer: str, kind: str = "Numerical", **fields: Any) -> dict[str, Any]:
    return {
        "question": question,
        "final_answer": [answer],
        "context": "",
        "answer_type": kind,
        "unit": "",
        "error": "",
        "is_multiple_answer": False,
        "subject": "Maths",
        "subfield": "Algebra",
        **fields,
    }


def test_olympiadbench_compares_by_kind_of_answer_and_tolerance(tmp_path: Path) -> None:
    rows = [
        olympiad("A", r"\frac{1}{3}"),
        olympiad("B", "3.2", error="1e-1", unit="m"),
        olympiad("C", "1,2", is_multiple_answer=True),
        olympiad("D", "(1,2)", "Tuple"),
        olympiad("E", "$x^2-1$", "Expression"),
        olympiad("F", "a proof", "Need_human_evaluate"),
    ]
    given = {"A": r"\dfrac{2}{6}", "B": "3.15", "C": "2, 1", "D": "(2,1)", "E": "(x-1)(x+1)"}
    model = Scripted(lambda prompt, _: f"So the final answer is \\boxed{{{given[prompt[-1]]}}}.")
    found = evaluate("tessy_olympiadbench_maths", model, write_jsonl(tmp_path / "o.jsonl", rows))
    assert found["exact_match"] == 4 / 5
    assert len(model.asked) == 5
    assert any("several answers" in prompt for prompt in model.asked)


def fenced(language: str, code: str) -> str:
    return f"<think>Let me see.</think>Here:\n```{language}\n{code}```\n"


@pytest.mark.sandbox
def test_ojbench_is_judged_in_parallel_and_counts_what_cannot_be(tmp_path: Path) -> None:
    ojbench(tmp_path)

    def answer(prompt: str, number: int) -> str:
        if "(7)" in prompt:
            return fenced("python", "x = int(input())\nprint(2 * x if x < 3 else 0)\n")
        return fenced("cpp", CPP) if number == 0 else fenced("python", PYTHON)

    metadata = {"ojbench": {"source": str(tmp_path)}}
    found = evaluate("tessy_ojbench", Scripted(answer), metadata=metadata)
    # Of six: `a` right in both languages, 7 no C++ at all and in Python wrong from test 3 on, two skipped.
    assert found["pass@1"] == pytest.approx(2 / 6)
    assert found["first_1_4_of_tests"] == pytest.approx(3 / 6)
    assert found["first_1_2_of_tests"] == pytest.approx(2 / 6)
    assert found["unjudged"] == 0


@pytest.mark.sandbox
def test_livecodebench_pro_without_a_zip_counts_it_as_failed(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "statements.jsonl", [pro_statement("a"), pro_statement("b")])
    pro_zips(tmp_path, "a")
    metadata = {"livecodebench_pro": {"source": str(tmp_path), "instruction": "ours"}}
    found = evaluate("tessy_livecodebench_pro", Scripted(lambda *_: fenced("cpp", CPP)), metadata=metadata)
    assert (found["pass@1"], found["pass@1_repaired"], found["no_code"]) == (0.5, 1, 0)


@pytest.mark.sandbox
def test_livecodebench_judges_programs_and_functions(tmp_path: Path) -> None:
    livecodebench(tmp_path)
    solution = "class Solution:\n    def double(self, x):\n        return 2 * x\n"

    def answer(prompt: str, number: int) -> str:
        return fenced("python", solution if "class Solution" in prompt else PYTHON)

    metadata = {"livecodebench_v5": {"source": str(tmp_path), "instruction": "ours"}}
    found = evaluate("tessy_livecodebench_v5", Scripted(answer), metadata=metadata)
    assert (found["pass@1"], found["pass@1_repaired"]) == (1, 1)
    metadata["livecodebench_v5"]["mode"] = "fixed"
    found = evaluate("tessy_livecodebench_v5", Scripted(answer), metadata=metadata)
    assert found["pass@1"] == 1
    assert math.isnan(found["pass@1_repaired"])
    metadata["livecodebench_v5"]["mode"] = "strict"
    cut = evaluate(
        "tessy_livecodebench_v5", Scripted(lambda *_: "<think>\n```python\n1\n```"), metadata=metadata
    )
    assert (cut["pass@1"], cut["truncated"]) == (0, 1)


def test_a_code_task_without_data_says_how_to_name_it() -> None:
    with pytest.raises(ValueError, match=r"--metadata '{\"ojbench\": {\"source\": \"FOLDER\"}}'"):
        evaluate("tessy_ojbench", Scripted(lambda *_: ""))


def test_every_task_file_is_found_by_name() -> None:
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    assert {path.stem for path in TASKS.glob("*.yaml")} <= {
        name.removeprefix("tessy_") for name in manager.all_subtasks
    }
