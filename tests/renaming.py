"""`python -m tests.renaming` renames every field of the recipe's sections and of the stages' configurations,
one after another, in a copy of the committed tree, and says of which mypy would not have noticed.

A quarter of an hour on one core. Fields that are read by name escape: names of curation's rules and of
columns, what templates take, and fields that only narrow one of a base class.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PREFIX = "renamed_"


class Field(NamedTuple):
    """Where a field is declared."""

    file: Path
    section: str
    name: str
    line: int
    column: int


def fields(root: Path) -> Iterator[Field]:
    for file in sorted([*root.glob("tessy/config/*.py"), *root.glob("tessy/stages/*.py")]):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for item in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    yield Field(file, node.name, item.target.id, item.lineno, item.col_offset)


def renamed(field: Field) -> str:
    """The file with the field renamed where it is declared, and nowhere else."""
    lines = field.file.read_text(encoding="utf-8").splitlines(keepends=True)
    line = lines[field.line - 1]
    lines[field.line - 1] = line[: field.column] + PREFIX + line[field.column :]
    return "".join(lines)


def mypy_fails(root: Path) -> bool:
    """Whether mypy finds a fault; its daemon looks only at what has changed."""
    command = [Path(sys.executable).with_name("dmypy"), "run", "--", "--config-file", "pyproject.toml"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return ": error:" in done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "tree"
        subprocess.run(["git", "clone", "-q", ROOT, root], check=True)
        assert not mypy_fails(root), "mypy fails before anything is renamed"
        every, unnoticed = list(fields(root)), list[Field]()
        try:
            for field in every:
                text = field.file.read_text(encoding="utf-8")
                field.file.write_text(renamed(field), encoding="utf-8")
                if not mypy_fails(root):
                    unnoticed.append(field)
                    print(f"{field.file.name}: {field.section}.{field.name}", flush=True)
                field.file.write_text(text, encoding="utf-8")
                mypy_fails(root)
        finally:
            subprocess.run([Path(sys.executable).with_name("dmypy"), "stop"], cwd=root)
    print(f"mypy noticed {len(every) - len(unnoticed)} of {len(every)}")


if __name__ == "__main__":
    main()
