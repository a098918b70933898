"""The Dockerfiles follow the rules that matter; no image is built here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "containers").glob("Dockerfile*"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and their arguments, continued lines joined."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    words = (line.split(maxsplit=1) for line in whole.splitlines() if line.strip())
    return [(instruction, argument) for instruction, argument in words]


def arguments(path: Path, name: str) -> list[str]:
    return [argument for instruction, argument in instructions(path) if instruction == name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dockerfile_is_reproducible_small_and_not_root(path: Path) -> None:
    (base,) = arguments(path, "FROM")
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+[a-z.-]*", base), "the base names a whole version"
    assert arguments(path, "USER")[-1] == "1000", "by number: Kubernetes cannot look names up"
    for run in arguments(path, "RUN"):
        assert ("apt-get install" in run) == ("rm -rf /var/lib/apt/lists/*" in run)
        assert run.count("pip install") == run.count("--no-cache-dir")
        assert run.count("pip install --no-cache-dir pip==") + run.count("-c constraints.txt") == run.count(
            "pip install"
        )
    copied = [name for argument in arguments(path, "COPY") for name in argument.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {"tessy", "train", "eval", "pyproject.toml", "constraints.txt"} <= set(copied)


@pytest.mark.slurm
def test_dockerfiles_pass_hadolint() -> None:
    hadolint = Path(sys.prefix) / "checks" / "bin" / "hadolint"
    assert hadolint.exists(), "no hadolint found: make cluster"
    done = subprocess.run([hadolint, *FILES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
