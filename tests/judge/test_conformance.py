"""Every rule of the official judges, as data: problem folders, and programs that say what they must get.

A program's first lines are comments: `expect: VERDICT [OFFICIAL WORD]`, and where needed `fixed:` (the same
in mode `fixed`), `tests:` (the verdict of each test that ran), `either:` (another outcome that is as right).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eval.judge import Judgement, Submission, judge
from eval.judge.compile import MAIN

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).with_name("conformance")
LANGUAGE = {Path(name).suffix: language for language, name in MAIN.items()}
PROBLEMS = sorted(path.parent for path in ROOT.glob("*/*/programs"))


def expectations(program: Path) -> dict[str, str]:
    return dict(re.findall(r"^(?://|#) (\w+): (.*)$", program.read_text(), re.MULTILINE))


def differences(program: Path, judgement: Judgement, mode: str) -> list[str]:
    said = expectations(program)
    verdict, _, official = (
        said.get("fixed", said["expect"]) if mode == "fixed" else said["expect"]
    ).partition(" ")
    got = f"{judgement.verdict} {judgement.official}"
    if got == said.get("either"):
        return []
    wrong = []
    if judgement.verdict != verdict or (official and judgement.official != official):
        wrong.append(
            f"{program.name} ({mode}): {got}, expected {verdict} {official}: {judgement.detail[:300]}"
        )
    ran = " ".join(test.verdict for test in judgement.tests)
    if "tests" in said and ran != said["tests"]:
        wrong.append(f"{program.name} ({mode}): tests {ran}, expected {said['tests']}")
    return wrong


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_programs_get_the_verdicts_they_name(problem: Path) -> None:
    wrong = []
    folder = problem if problem.parent.name == "lcb" else problem.parent
    programs = sorted((problem / "programs").iterdir())
    # That "both" holds what "strict" says is tested with the command.
    for mode, fixed in (("strict", False), ("both", True)):
        chosen = [program for program in programs if ("fixed" in expectations(program)) == fixed]
        submissions = [
            Submission(problem.name, LANGUAGE[program.suffix], code=program.read_text()) for program in chosen
        ]
        judged = judge(submissions, format=problem.parent.name, problems=folder, workers=2, mode=mode)
        for program, judgement in zip(chosen, judged, strict=True):
            wrong += differences(program, judgement, "strict")
            if judgement.fixed:
                wrong += differences(program, judgement.fixed, "fixed")
    assert not wrong, "\n".join(wrong)
