"""`tessy doctor`: describes this machine, what it lacks, and the command that installs it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from rich.console import Console
from rich.text import Text

from tessy.machine import machine, meaning
from tessy.runtime.stage import Need
from tessy.stages import kinds
from tessy.stages.checks import sandbox_faults
from tessy.terminal import mark


@dataclass(frozen=True, slots=True)
class Finding:
    """One requirement of a run. `remedy` is a command, or a sentence where no command helps."""

    name: str
    present: bool
    needed_for: str
    remedy: str


INSTALL = "sudo apt-get install {}"
COMMANDS: Mapping[Need, tuple[tuple[str, str], ...]] = {
    "judging": (("g++", "g++"), ("bwrap", "bubblewrap"), ("pypy3", "pypy3")),
}
"""Commands, and Debian's packages that have them."""
PACKAGES: Mapping[Need, tuple[tuple[str, str], ...]] = {
    "models": (("torch", "'.[train]'"), ("transformers", "'.[train]'"), ("datasets", "'.[train]'")),
    "training": (("trl", "'.[train]'"), ("peft", "'.[train]'"), ("deepspeed", "'.[train]'")),
    "lm-eval": (("lm_eval", "'.[eval]'"),),
}
"""Modules, and what brings them where this project lies."""


def findings() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:2]))
    enough = sys.version_info >= (3, 11)
    yield Finding(f"Python {version}", enough, "everything", "install Python 3.11 or newer")
    for need in get_args(Need):
        stages = "stages " + ", ".join(kind.name for kind in kinds() if need in kind.needs)
        for command, package in COMMANDS.get(need, ()):
            yield Finding(command, shutil.which(command) is not None, stages, INSTALL.format(package))
        for module, extra in PACKAGES.get(need, ()):
            yield Finding(module, _importable(module), stages, f"pip install -e {extra}")
        if need == "judging":
            remedy = "pip install --no-deps --group testlib"
            yield Finding("testlib.h", _importable("rbx"), f"{stages}: C++ checkers", remedy)
            yield _sandbox(stages)
    mirror = "mirroring metrics in W&B"
    yield Finding("wandb", _importable("wandb"), mirror, "pip install -e '.[train]'")


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def about() -> Iterator[tuple[str, str]]:
    """The machine's components, and what each means for a run."""
    here = machine()
    yield here.cpu, f"{here.architecture}, {here.cores} cores, {here.memory / 2**30:.0f} GiB of memory"
    yield from meaning(here)
    for gpu in here.gpus:
        yield gpu, f"a GPU with driver {here.driver}"


def _sandbox(needed_for: str) -> Finding:
    fault = next(sandbox_faults(), None)
    return Finding("sandbox works", fault is None, needed_for, fault or "")


def examine() -> int:
    """Print all findings; returns 1 where anything is missing."""
    console, missing = Console(soft_wrap=True), 0
    for name, meant in about():
        console.print(Text.assemble(name, (f"  {meant}", "dim")))
    for finding in findings():
        missing += not finding.present
        opening = mark(finding.present, console.encoding)
        text = Text.assemble(opening, finding.name, (f"  {finding.needed_for}", "dim"))
        console.print(text)
        if not finding.present:
            console.print(Text(f"    {finding.remedy}"))
    return int(missing > 0)
