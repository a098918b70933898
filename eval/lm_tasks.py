"""Tasks of lm-eval: whether they can run, and the source of their few-shot examples.

Not covered: imports that a task's own Python makes only when it scores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import lm_eval
from datasets import Dataset
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from tessy.config.evaluate import LmEvalBenchmark
from tessy.errors import UserError

TASKS = Path(__file__).with_name("tasks")


def check(benchmark: LmEvalBenchmark) -> None:
    """Raise `UserError` for what would stop the task later: an unknown name, a package that is not installed,
    examples that would come from the rows it is tested on."""
    few_shot(benchmark, known(benchmark)[1])


def known(benchmark: LmEvalBenchmark) -> tuple[TaskManager, dict[str, Any]]:
    """The task manager that has the task, and its configuration."""
    manager = _manager(defaults=False)
    if benchmark.task not in manager.all_subtasks:
        manager = _manager(defaults=True)
    if benchmark.task not in manager.all_subtasks:
        near = get_close_matches(benchmark.task, manager.all_subtasks, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"benchmark {benchmark.name}: no task {benchmark.task!r} in lm-eval or eval/tasks{hint}"
        )
    path = manager.task_index[benchmark.task].yaml_path
    try:
        return manager, load_yaml(path, resolve_func=True) if path else {}
    except (ImportError, AssertionError) as error:
        raise UserError(
            f"benchmark {benchmark.name}: task {benchmark.task} needs packages that are not installed "
            f"({error}): {_install(error)}"
        ) from error


@cache
def _manager(defaults: bool) -> TaskManager:
    """Our tasks, or also lm-eval's ten thousand, which take 15 seconds to index on a slow machine."""
    return TaskManager(include_path=str(TASKS), include_defaults=defaults)


def _install(error: Exception) -> str:
    """The command that installs what a task lacks."""
    extra = re.search(r"lm[-_]eval\[\W*(\w+)", str(error))
    if extra:
        return f"pip install 'lm-eval[{extra[1]}]=={lm_eval.__version__}'"
    return f"pip install {getattr(error, 'name', None) or 'them'}"


def few_shot(benchmark: LmEvalBenchmark, config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a task that say where its examples are, if not where lm-eval has them.

    Raises `UserError` where they would come from the rows that are tested: every prompt would show answers.
    """
    shots, own = config.get("num_fewshot") or 0, config.get("fewshot_config") or {}
    name = f"benchmark {benchmark.name}: task {benchmark.task}"
    if benchmark.fewshot_data is not None:
        if not shots:
            raise UserError(f"{name} shows no examples; remove `fewshot_data`")
        rows = _examples(benchmark, shots)
        process = own.get("process_docs") or config.get("process_docs")
        rows = list(process(Dataset.from_list(rows))) if process else rows
        return {"fewshot_split": None, "fewshot_config": {**own, "split": None, "samples": rows}}
    tested = config.get("test_split") or config.get("validation_split")
    splits = ("fewshot_split", "training_split", "validation_split", "test_split")
    source = own.get("split") or next((config[split] for split in splits if config.get(split)), tested)
    if shots and not own.get("samples") and (benchmark.data is not None or source == tested):
        raise UserError(
            f"{name} shows {shots} examples before each question, which would be rows it is tested on; give "
            "others in a .jsonl file as `fewshot_data`"
        )
    return {}


def _examples(benchmark: LmEvalBenchmark, shots: int) -> list[dict[str, Any]]:
    """The rows of `fewshot_data`; raises `UserError` where they are too few or `data` has one of them."""
    rows = _rows(str(benchmark.fewshot_data))
    name = f"benchmark {benchmark.name}: {benchmark.fewshot_data}"
    if len(rows) < shots:
        raise UserError(
            f"{name} has {len(rows)} examples where task {benchmark.task} shows {shots}; add some"
        )
    tested = _rows(benchmark.data) if benchmark.data is not None else []
    for number, row in enumerate(rows, 1):
        if row in tested:
            raise UserError(
                f"{name}, line {number}: this example is tested, too, in line {tested.index(row) + 1} of "
                f"{benchmark.data}; take it out of one of them"
            )
    return rows


def _rows(path: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise UserError(f"{path}, line {number}: no JSON ({error}); mend or remove the line") from None
    return rows
