"""`tessy doctor`: what this machine is, what it lacks, and the command that installs it."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from tessy.machine import machine, meaning
from tessy.terminal import mark


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a run needs. `remedy` is a command, or a sentence where no command helps."""

    name: str
    present: bool
    needed_for: str
    remedy: str


COMMANDS = (
    ("g++", "g++", "C++ submissions and checkers"),
    ("bwrap", "bubblewrap", "the sandbox"),
    ("pypy3", "pypy3", "Python submissions of OJBench"),
)
PACKAGES = (
    ("torch", "train", "models"),
    ("transformers", "train", "models"),
    ("datasets", "train", "datasets"),
    ("trl", "train", "fine-tuning"),
    ("lm_eval", "eval", "benchmarks scored by lm-eval"),
    ("wandb", "train", "mirroring metrics in W&B"),
)


def findings() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:2]))
    yield Finding(
        f"Python {version}", sys.version_info >= (3, 11), "everything", "install Python 3.11 or newer"
    )
    for command, package, purpose in COMMANDS:
        yield Finding(command, shutil.which(command) is not None, purpose, f"sudo apt-get install {package}")
    for module, extra, purpose in PACKAGES:
        present = importlib.util.find_spec(module) is not None
        yield Finding(module, present, purpose, f"pip install -e '.[{extra}]'")
    testlib = importlib.util.find_spec("rbx") is not None
    yield Finding("testlib.h", testlib, "C++ checkers", "pip install --no-deps --group testlib")
    yield _sandbox()


def about() -> Iterator[tuple[str, str]]:
    """The machine's parts, each with what it means for a run."""
    here = machine()
    yield here.cpu, f"{here.architecture}, {here.cores} cores, {here.memory / 2**30:.0f} GiB of memory"
    yield from meaning(here)
    for gpu in here.gpus:
        yield gpu, f"a GPU with driver {here.driver}"


def _sandbox() -> Finding:
    # By name: `tessy` does not import `eval`; only whoever asks reaches it.
    try:
        importlib.import_module("eval.sandbox").require()
    except ValueError as error:
        return Finding("sandbox works", False, "running programs that models wrote", str(error))
    return Finding("sandbox works", True, "running programs that models wrote", "")


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
