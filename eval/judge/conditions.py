"""What verdicts depend on beside programs, test data and rules: a format's tools, and what limits memory.

All processes that judge the same have them in common, and results name them. Not covered: the processor,
which decides how long programs take.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from eval.judge.extract import Format
from eval.judge.formats import FORMATS
from eval.judge.interpreter import PYTHON, described
from eval.sandbox import accounting
from tessy.claims.files import first_wins
from tessy.errors import UserError

MEMORY = "memory limited by"


@functools.cache
def conditions(format: Format) -> Mapping[str, str]:
    """Those of this machine, by name."""
    tools = sorted({language.tool for language in FORMATS[format].languages.values()})
    return {MEMORY: accounting().kind or "nothing", **{Path(tool).name: _version(tool) for tool in tools}}


def in_common(path: Path, here: Mapping[str, str]) -> dict[str, str]:
    """The conditions of the first of all processes that call this with `path`, which keeps them."""
    found: dict[str, str] = json.loads(first_wins(path, json.dumps(here)))
    return found


def require_alike(path: Path, here: Mapping[str, str], remedy: str) -> None:
    """Raise `UserError` where `here` is not what is `in_common`: verdicts must not depend on the machine.
    `remedy` is what helps beside judging elsewhere."""
    first = in_common(path, here)
    for name in [*here, *first]:
        if (ours := here.get(name, "missing")) != (theirs := first.get(name, "missing")):
            raise UserError(
                f"{name} {ours} here, and {theirs} where judging was begun; judge on machines that are "
                f"alike{remedy}"
            )


def _version(tool: str) -> str:
    if tool == PYTHON:
        return described()
    try:
        said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return "missing"
    return ", ".join(said.strip().splitlines()[:2]) or "missing"
