"""Imports point one way: the order below, from the bottom up, holds for every import, late ones too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("tessy.errors", "tessy.records", "tessy.shapes"),
    ("tessy.config",),
    ("tessy.curation_rules",),
    (
        "tessy.artifacts",
        "tessy.digests",
        "tessy.estimate",
        "tessy.funnel",
        "tessy.hub",
        "tessy.jsonl",
        "tessy.layout",
    ),
    (
        "tessy.claims",
        "tessy.cluster",
        "tessy.machine",
        "tessy.processes",
        "tessy.statistics",
        "tessy.terminal",
        "tessy.tracking",
    ),
    ("tessy.sources",),
    ("tessy.chat",),
    ("tessy.engines",),
    ("tessy.boundary",),
    ("tessy.synthesis",),
    ("tessy.diagnosis",),
    ("tessy.miniature",),
    ("tessy.runtime",),
    ("tessy.report",),
    ("tessy.generation", "tessy.curate"),
    ("tessy.stages",),
    ("tessy.experiment", "tessy.standins"),
    ("tessy.launch", "tessy.sharing"),
    ("tessy.commands",),
    ("eval.judge", "eval.sandbox"),
    ("train", "eval"),
    ("tessy.bench",),
    ("tessy.cli",),
)
"""Modules and packages; those of one layer may import each other. `eval.judge` and `eval.sandbox` stand by
themselves, above little of `tessy`."""


def modules() -> Iterator[tuple[str, Path]]:
    for room in ("tessy", "train", "eval"):
        for path in (ROOT / room).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imported(path: Path) -> Iterator[str]:
    """Modules of this project that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def layer(module: str) -> int | None:
    """The layer of a module, by the longest name that fits; None for what is not this project's."""
    fits = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    return max(fits)[1] if fits else None


@pytest.mark.parametrize(("module", "path"), sorted(modules()))
def test_no_import_points_upwards(module: str, path: Path) -> None:
    here = layer(module)
    if module == "tessy":
        return
    assert here is not None, f"{module} belongs to no layer; name it in LAYERS"
    upwards = [name for name in imported(path) if (there := layer(name)) is not None and there > here]
    assert not upwards


def test_tessy_knows_neither_train_nor_eval() -> None:
    rooms = [
        (module, name)
        for module, path in modules()
        if module.partition(".")[0] == "tessy" and not module.startswith("tessy.bench")
        for name in imported(path)
        if name.partition(".")[0] in ("train", "eval")
    ]
    assert not rooms


def test_only_the_command_line_knows_the_bench() -> None:
    users = [
        module
        for module, path in modules()
        if not module.startswith("tessy.bench")
        and any(name.startswith("tessy.bench") for name in imported(path))
    ]
    assert not users


def test_the_miniature_is_known_where_problems_and_models_come_from_alone() -> None:
    users = {
        module
        for module, path in modules()
        if not module.startswith("tessy.miniature")
        and any(name.startswith("tessy.miniature") for name in imported(path))
    }
    assert users == {
        "tessy.stages.world",
        "tessy.stages.pretrain",
        "tessy.stages.switches",
        "tessy.generation.token_logprobs",
        "tessy.bench.sizes",
        "eval.code",
        "eval.general",
        "eval.instrument",
        "eval.statements",
    }
