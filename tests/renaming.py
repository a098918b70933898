"""Renames the fields of the recipe's sections and of the stages' configurations where they are declared, in a
copy of the tree, and finds those of which mypy does not notice it: fields read as `Any`, or by name.

All are renamed at once first, and those that an error of mypy names are done with. A field behind another one
(`a.b.c`) is seen only when the first has its name again, so the others are renamed once more, until no error
names one; what is left then is renamed one by one. `python -m tests.renaming` prints them.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CHECKED = ("tessy", "train", "eval", "pyproject.toml")
PLACES = ("tessy/config", "tessy/stages")
PREFIX = "renamed_"


class Field(NamedTuple):
    """Where a field is declared; `file` is relative to the tree."""

    file: str
    section: str
    name: str
    line: int
    column: int


def fields(root: Path) -> Iterator[Field]:
    for file in sorted(file for place in PLACES for file in (root / place).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for item in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    name = str(file.relative_to(root))
                    yield Field(name, node.name, item.target.id, item.lineno, item.col_offset)


def bases(every: Sequence[Field]) -> Mapping[str, frozenset[str]]:
    """The names of each class of these fields and of those that it inherits from."""
    found: dict[str, frozenset[str]] = {}
    for file, section in {(field.file, field.section) for field in every}:
        module = importlib.import_module(file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        assert section not in found, f"two classes are called {section}: messages do not tell them apart"
        found[section] = frozenset(one.__name__ for one in getattr(module, section).__mro__)
    return found


class Tree:
    """A copy of the tree that mypy's daemon checks."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder / "tree"
        self._status = folder / "status.json"
        self.root.mkdir()
        for name in CHECKED:
            copy = shutil.copytree if (root / name).is_dir() else shutil.copy
            copy(root / name, self.root / name)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon("stop")

    def errors(self, renamed: Sequence[Field] = ()) -> list[str]:
        """What mypy says while these fields are renamed where they are declared, and nowhere else."""
        texts = {file: (self.root / file).read_text(encoding="utf-8") for file in {f.file for f in renamed}}
        for file, text in texts.items():
            lines = text.splitlines(keepends=True)
            for field in (field for field in renamed if field.file == file):
                line = lines[field.line - 1]
                lines[field.line - 1] = line[: field.column] + PREFIX + line[field.column :]
            (self.root / file).write_text("".join(lines), encoding="utf-8")
        said = self._daemon("run", "--", "--config-file", "pyproject.toml")
        for file, text in texts.items():
            (self.root / file).write_text(text, encoding="utf-8")
        return [line.partition(": error: ")[2] for line in said.splitlines() if ": error: " in line]

    def _daemon(self, *words: str) -> str:
        command = [sys.executable, "-P", "-m", "mypy.dmypy", "--status-file", self._status, *words]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True).stdout


_MISSED = re.compile(
    r'^"(?P<owner>\w+)(?:\[[^"]*\])?" has no attribute "(?P<name>\w+)"'
    r'|^Unexpected keyword argument "(?P<keyword>\w+)" for "(?P<called>\w+)"'
)


def missed(errors: Sequence[str]) -> set[tuple[str, str]]:
    """(class, field) that errors name. Members of unions are left out: what narrows one may be renamed, too,
    and then the error is not this field's."""
    found = [match for error in errors if (match := _MISSED.match(error))]
    return {(m["owner"] or m["called"], m["name"] or m["keyword"]) for m in found}


def apart(every: Sequence[Field], related: Mapping[str, frozenset[str]]) -> list[Field]:
    """The fields without those that a class has by the same name as another class it inherits from: of such
    two, only one can be meant by an error."""
    kept: dict[str, list[str]] = {}
    found = []
    for field in every:
        others = kept.setdefault(field.name, [])
        of = {name for name, mro in related.items() if field.section in mro}
        if not any(of & {name for name, mro in related.items() if other in mro} for other in others):
            others.append(field.section)
            found.append(field)
    return found


def unnoticed(root: Path = ROOT) -> list[Field]:
    every = list(fields(root))
    related = bases(every)
    with tempfile.TemporaryDirectory() as scratch, Tree(root, Path(scratch)) as tree:
        assert not (said := tree.errors()), said
        left, known = every, -1
        while len(left) != known:
            known, batch = len(left), apart(left, related)
            names = missed(tree.errors(batch))
            seen = {
                field
                for field in batch
                if any(
                    field.name == name and field.section in related.get(owner, ()) for owner, name in names
                )
            }
            left = [field for field in left if field not in seen]
        return [field for field in left if not tree.errors([field])]


if __name__ == "__main__":
    for field in unnoticed():
        print(f"{field.file}: {field.section}.{field.name}")
