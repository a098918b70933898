"""A recipe cut short: what is a size in it becomes tiny, and what is elsewhere is made here.

Methods, switch, losses, optimizer, benchmarks and the order of stages stay. Models, predictors and the first
model of training become random ones of the same chat formats (`models`); a benchmark has one problem, in its
official layout (`benchmarks`), and so have tasks and the problems to write about where their files are not
here; prompts that would be fetched are this project's; everything runs inside the process, on the CPU.

Replaced besides: an annotator that is a language model by the English lexicon, because no random model could
do it, and an optimizer that is not installed by AdamW. Left out: lm-eval tasks of others, whose documents
nobody here can make up.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tessy.artifacts import PARTIAL
from tessy.config.base import Checkpoint, Sampler
from tessy.config.evaluate import CodeBenchmark, LmEvalBenchmark
from tessy.config.load import check
from tessy.config.predictors import Predictors
from tessy.config.problems import Problems
from tessy.config.recipe import Recipe
from tessy.config.switches import CheckpointsSwitch
from tessy.errors import UserError
from tessy.records import ROLES, Role
from tessy.standins.benchmarks import TASKS, benchmark, write_jsonl
from tessy.standins.models import ENDS, make_model, make_predictor

SUFFIX = "-tiny"
PROBLEMS, TOKENS, LENGTH = 6, 96, 12
"""Problems; tokens of a response at most, and of each of its parts on average."""
ROW = 512
"""Tokens of a training row: the longest response, behind a prompt."""
WINDOW, SEGMENT_WORDS = 32, 12
CHECKPOINT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""Files without which a checkpoint is not whole."""


def cut_short(recipe: Recipe, runs_dir: Path) -> Recipe:
    """`recipe` with tiny sizes; its stand-ins are written to a folder beside its results in `runs_dir`.

    Raises `UserError` for a recipe of the miniature, whose models are made by the run itself, and for one
    that is given traces, which are too long for a tiny model.
    """
    if recipe.world is not None:
        raise UserError(
            f"recipe {recipe.name}: is of the miniature, and small; --sizes tiny is for hub models"
        )
    if recipe.synthesis.given:
        given = ", ".join(recipe.synthesis.given)
        raise UserError(f"recipe {recipe.name}: --sizes tiny makes all traces, and {given} is given")
    name = f"{recipe.name}{SUFFIX}"
    made = _Made(runs_dir / name / "standins")
    plain = recipe.plain | {
        "name": name,
        "problems": made.problems(recipe.problems),
        "models": {role: made.model(recipe, role) for role in ROLES},
        "predictors": _predictors(recipe.predictors, made),
        "synthesis": _synthesis(recipe, made),
        "train": _train(recipe, made),
        "evaluate": recipe.evaluate.plain
        | {
            "benchmarks": list(_benchmarks(recipe, made)),
            "samples": 1,
            "pass_at": [],
            "max_tokens": min(TOKENS, recipe.evaluate.max_tokens),
        },
        "execution": _execution(recipe),
    }
    return check(plain, name)


def replaced(recipe: Recipe, tiny: Recipe) -> str:
    """One line: what `tiny`, which is `recipe` cut short, has in the place of what it names."""
    found = ["--sizes tiny: models are random ones, and problems of benchmarks made up"]
    if tiny.train.optimizer != recipe.train.optimizer:
        found.append(
            f"train.optimizer {recipe.train.optimizer!r} is replaced by {tiny.train.optimizer!r} "
            "(bitsandbytes is not installed)"
        )
    if recipe.predictors and recipe.predictors.annotator.kind != "lexicon":
        found.append(
            f"predictors.annotator {recipe.predictors.annotator.kind!r} is replaced by the English lexicon"
        )
    kept = {one.name for one in tiny.evaluate.benchmarks}
    if left_out := [one.name for one in recipe.evaluate.benchmarks if one.name not in kept]:
        found.append(f"evaluate.benchmarks is without {', '.join(left_out)} (nothing is fetched)")
    return "; ".join(found)


class _Made:
    """Stand-ins in `folder`, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def problems(self, problems: Problems | None) -> dict[str, Any]:
        if problems is not None and problems.source and Path(problems.source).exists():
            return problems.plain | {"limit": PROBLEMS}
        rows = ({"id": f"p{n}", "prompt": f"Write a program that adds {n}."} for n in range(PROBLEMS))
        return {"source": str(write_jsonl(self.folder / "problems.jsonl", rows)), "limit": PROBLEMS}

    def model(self, recipe: Recipe, role: Role) -> dict[str, Any]:
        model = recipe.models.of(role)
        family = model.format if model.format in ENDS else "qwen3"
        source = self.checkpoint(role, family, recipe.synthesis.sampler, ROLES.index(role))
        own = {"source": source, "revision": None, "format": family, "thinking": None, "template": None}
        return model.plain | own

    def checkpoint(self, name: str, family: str, sampler: Sampler, seed: int) -> str:
        return self._whole(name, lambda folder: make_model(folder, family, sampler, LENGTH, seed))

    def predictor(self, name: str, seed: int) -> str:
        return self._whole(f"predictor-{name}", lambda folder: make_predictor(folder, seed))

    def _whole(self, name: str, make: Callable[[Path], Path]) -> str:
        """The folder of checkpoint `name`. It is made beside its place, so that what is there after a kill is
        whole; the files are looked for because earlier versions made it in its place."""
        folder = self.folder / name
        if not all((folder / file).is_file() for file in CHECKPOINT):
            unfinished = folder.with_name(name + PARTIAL)
            for left in (folder, unfinished):
                shutil.rmtree(left, ignore_errors=True)
            make(unfinished).rename(folder)
        return str(folder)


def _predictors(predictors: Predictors | None, made: _Made) -> dict[str, Any] | None:
    if predictors is None:
        return None
    annotator = predictors.annotator
    base = Checkpoint(source=made.predictor("base", 2)) if predictors.base else None
    return predictors.plain | {
        "annotator": annotator.plain
        if annotator.kind == "lexicon"
        else {"kind": "lexicon", "lexicon": "english"},
        "agreement": None,
        "problems": PROBLEMS,
        "segment_words": SEGMENT_WORDS,
        "segments": 100,
        "window_tokens": WINDOW,
        "epochs": 1,
        "patience": 1,
        "base": base.plain if base else None,
    }


def _synthesis(recipe: Recipe, made: _Made) -> dict[str, Any]:
    synthesis, switch = recipe.synthesis, recipe.synthesis.switch
    found: dict[str, Any] = synthesis.plain | {"max_tokens": min(TOKENS, synthesis.max_tokens)}
    if isinstance(switch, CheckpointsSwitch):
        watching = {role: {"source": made.predictor(role, 3)} for role in ROLES}
        found["switch"] = switch.plain | watching | {"window_tokens": WINDOW}
    if synthesis.teacher_score:
        found["teacher_score"] = synthesis.teacher_score.plain | {"candidates": 2}
        if synthesis.teacher_score.scorer.kind == "grade":
            found["teacher_score"]["scorer"]["max_tokens"] = TOKENS
    return found


def _train(recipe: Recipe, made: _Made) -> dict[str, Any]:
    train = recipe.train
    start = made.checkpoint("start", "qwen3", recipe.synthesis.sampler, 0) if train.start else None
    return train.plain | {
        "optimizer": train.optimizer if find_spec("bitsandbytes") else "adamw",
        "epochs": 1 + bool(train.evaluate_epochs),
        "evaluate_epochs": [1] * bool(train.evaluate_epochs),
        "batch_size": 2,
        "max_length": ROW,
        "seeds": train.seeds[:1],
        "start": {"source": start} if start else None,
    }


def _benchmarks(recipe: Recipe, made: _Made) -> Iterator[dict[str, Any]]:
    for one in recipe.evaluate.benchmarks:
        few = one.plain | {"samples": None, "revision": None}
        if isinstance(one, LmEvalBenchmark):
            yield from _task(one, few | {"limit": 1}, made)
        else:
            yield few | _code(one, made)


def _code(one: CodeBenchmark, made: _Made) -> dict[str, Any]:
    """What changes in a code benchmark: it has one problem, in its window."""
    day = str(one.released_from or "2025-01-01")
    ours = {"instruction": "ours"} if one.instruction == "official" and not one.prompt_file else {}
    source = str(benchmark(one.kind, made.folder / one.name, day))
    return ours | {"source": source, "tests": None, "tests_revision": None, "splits": []}


def _task(one: LmEvalBenchmark, few: dict[str, Any], made: _Made) -> Iterator[dict[str, Any]]:
    # GPQA is otherwise asked in words that are fetched.
    task = {"tessy_gpqa_diamond": "tessy_gpqa_diamond_ours"}.get(one.task, one.task)
    if one.data is not None and Path(one.data).is_file():
        yield few | {"task": task}
    elif task in TASKS:
        data = str(write_jsonl(made.folder / f"{one.name}.jsonl", [TASKS[task]]))
        yield few | {"task": task, "data": data}


def _execution(recipe: Recipe) -> dict[str, Any]:
    execution, spread = recipe.execution, recipe.execution.train
    kept = {"scheduler", "max_continuation_tokens", "check_interval_tokens", "tracking"}
    return {name: value for name, value in execution.plain.items() if name in kept} | {
        "jobs": 2,
        "concurrency": 8,
        "train": {
            "micro_batch": 1 if spread.micro_batch else None,
            "recompute": spread.recompute,
            "recomputed_layers": spread.recomputed_layers and 1,
            "stop_check": {"prompts": 2, "max_new_tokens": 32},
        },
    }
