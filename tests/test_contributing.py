"""CONTRIBUTING.md can be followed: its blocks of code apply to this repository, and its commands succeed.
Links between the READMEs lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (Add .+)$", TEXT, re.MULTILINE)
BLOCK = re.compile(
    r"^(?:New file|In) `(?P<path>[^`]+)`[^\n]*:\n\n```(?:python|diff)\n(?P<code>.*?)^```$"
    r"|^```bash\n(?P<commands>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COPIED = ("tessy", "train", "eval", "recipes", "tests")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository, for changes."""
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "conformance", "hostile", "official")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def apply(path: Path, code: str, *, new: bool) -> None:
    """Write a new file, or make the changes of a diff without line numbers; each must fit at one place."""
    if new:
        assert not path.exists(), f"{path} is not new"
        path.write_text(code, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    for change in code.split("@@\n"):
        lines = [line or " " for line in change.splitlines()]
        before, after = (_lines(lines, kept) for kept in (" -", " +"))
        assert text.count(before) == 1, f"{path}: this is there {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def _lines(change: list[str], kept: str) -> str:
    return "".join(f"{line[1:]}\n" for line in change if line[0] in kept)


def run(command: str, folder: Path) -> None:
    """Run a command of the text in `folder`, with this Python."""
    program, *arguments = shlex.split(command, comments=True)
    assert program == "python"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def follow(title: str, folder: Path) -> None:
    touched = []
    for block in BLOCK.finditer(section(title)):
        if block["commands"]:
            for command in block["commands"].splitlines():
                run(command, folder)
        else:
            apply(folder / block["path"], block["code"], new=block[0].startswith("New file"))
            touched.append(block["path"])
    for check in ("check", "format --check"):
        run(f"python -m ruff {check} {' '.join(touched)}", folder)


def test_every_block_of_code_says_where_it_belongs() -> None:
    for title in SECTIONS:
        assert section(title).count("```") == 2 * len(BLOCK.findall(section(title))), title


def test_a_kind_of_stage_can_be_added_as_the_text_says(copy: Path) -> None:
    follow("Add a kind of stage", copy)


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in SECTIONS if title != "Add a kind of stage"])
def test_everything_else_can_be_added_as_the_text_says(title: str, copy: Path) -> None:
    follow(title, copy)


GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
GUIDES += sorted(path for name in COPIED for path in (ROOT / name).rglob("README.md"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_sections(guide: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", guide.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = guide.parent / path if path else guide
        assert file.exists(), f"{guide}: {target}"
        assert not anchor or anchor in anchors(file), f"{guide}: {target}"


def anchors(file: Path) -> set[str]:
    """What headings are called in links, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
