"""What identifies stages, written down: fingerprints of the shipped recipes, defaults, and the code of each
kind.

`python -m tests.golden` writes the files below again. Do so on purpose only: a fingerprint that moves makes
work be done again, and one that should move and does not has results mixed in silence.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tessy.config.launch import TARGETS, Target
from tessy.config.load import load
from tessy.experiment import plan
from tessy.launch.rendering import FILES, Head, render
from tessy.stages import kinds

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "golden"
MEANING = (
    *("tessy.synthesis", "tessy.boundary", "tessy.chat", "tessy.generation", "tessy.miniature"),
    *("tessy.curation_rules", "tessy.curate", "tessy.sources", "tessy.stages", "train", "eval"),
)
"""Rooms whose code decides results, as against how fast and where they are made."""
BY_NAME = {"eval.lm_tasks": [f"eval.tasks.{path.stem}" for path in sorted(ROOT.glob("eval/tasks/*.py"))]}
"""Modules that no module imports: lm-eval loads them, as the task files beside them say (`!function`)."""


def recipes() -> list[str]:
    """Every shipped recipe, by path; sweeps and curations are none."""
    found = [path.relative_to(ROOT) for path in sorted((ROOT / "recipes").rglob("*.yaml"))]
    return [str(path) for path in found if not {"sweeps", "curation"} & set(path.parts)]


def fingerprints(recipe: str) -> dict[str, str]:
    """As on a machine without the models and data that a recipe names, whatever lies beside this one."""
    with contextlib.chdir(FOLDER):
        return {stage.name: stage.fingerprint for stage in plan(load(ROOT / recipe))}


def defaults() -> dict[str, dict[str, Any]]:
    """By kind of stage: its revision, and every default of its configuration by schema path."""
    return {
        kind.name: {"revision": kind.revision, "defaults": dict(_defaults(kind.config.model_json_schema()))}
        for kind in kinds()
    }


def _defaults(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if "default" in node:
            yield path, node["default"]
        for key, inner in node.items():
            if key != "default":
                yield from _defaults(inner, f"{path}/{key}")


def code() -> dict[str, dict[str, Any]]:
    """By kind of stage: its revision, and a digest of the code that its work is made of."""
    return {
        kind.name: {"revision": kind.revision, "code": code_digest(kind.run.partition(":")[0])}
        for kind in kinds()
    }


def code_digest(module: str) -> str:
    """Of a module and all it imports of the rooms of `MEANING`; comments and docstrings do not count."""
    digests = {name: _digest(path) for name, path in _reached(module).items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]


def _reached(module: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or name in found or not name.startswith(MEANING):
            continue
        found[name] = path
        waiting += BY_NAME.get(name, [])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _digest(path: Path) -> str:
    tree = _plain(ast.parse(path.read_text(encoding="utf-8")))
    return hashlib.sha256(json.dumps(tree).encode()).hexdigest()[:16]


def _plain(node: Any) -> Any:
    """A syntax tree without texts that stand alone and without what is empty, which differs between
    Pythons."""
    if isinstance(node, ast.AST):
        fields = {name: _plain(value) for name, value in ast.iter_fields(node) if name != "ctx"}
        return [
            type(node).__name__,
            {name: value for name, value in fields.items() if value not in (None, [])},
        ]
    if isinstance(node, list):
        return [_plain(one) for one in node if not _is_text(one)]
    return node if isinstance(node, str | int | float | bool | None) else repr(node)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


LAUNCHED = "recipes/one-gpu/lora-80gb.yaml"
PLACES: dict[Target, list[str]] = {
    "slurm": [
        "execution.cluster={kind: slurm, partition: gpu, setup: [module load cuda]}",
        "execution.launch={time_minutes: 1440, options: {exclude: node7}}",
    ],
    "ray": ["execution.cluster={kind: ray, address: 'node0:6379', environment: {HF_HOME: /shared/hf}}"],
    "sky": ["execution.cluster.kind=ray", "execution.launch={accelerator: H100, volume: runs}"],
    "k8s": [
        "execution.cluster.kind=ray",
        "execution.launch={image: 'tessy:gpu', volume: runs, secret: keys}",
    ],
}
"""Overrides with which every shipped recipe can be launched."""


def launched(target: Target, recipe: str, overrides: Sequence[str] = ()) -> Head:
    """The head job of a shipped recipe with three workers, on a cluster that sees everything in /shared."""
    given = [*PLACES[target], "execution.workers=3", *overrides]
    with contextlib.chdir(FOLDER):
        planned = plan(load(ROOT / recipe, given))
    judges = any("judging" in stage.kind.needs for stage in planned.stages)
    name = planned.recipe.name
    return Head(
        planned.recipe,
        recipe,
        given,
        name,
        "/shared/my runs",
        "/shared/tessy",
        "/shared/venv/bin/python",
        judges,
    )


def launch_texts() -> dict[str, str]:
    """By file name, what one recipe is launched with on every target."""
    return {FILES[target]: render(target, launched(target, LAUNCHED)) for target in TARGETS}


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    found = {
        "fingerprints": {recipe: fingerprints(recipe) for recipe in recipes()},
        "defaults": defaults(),
        "code": code(),
    }
    for name, value in found.items():
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (FOLDER / "launch").mkdir(exist_ok=True)
    for name, text in launch_texts().items():
        (FOLDER / "launch" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
