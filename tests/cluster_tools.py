"""For tests of `tessy launch`: the command, and stand-ins for the commands of clusters, put before the real
ones on the PATH.

Slurm's runs the script that it is given, in the background. kubectl's and sky's answer with what a test has
written down for them, and keep what they were asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from tessy.config.launch import Target
from tessy.launch.submitting import Slurm

ROOT = Path(__file__).parents[1]
SBATCH = """#!/bin/bash
set -euo pipefail
here={here}
number=$(($(cat "$here/last" 2>/dev/null || echo 40) + 1))
echo "$number" >"$here/last"
log=$(sed -n 's/^#SBATCH --output=//p' "$2" | tr -d '"')
SLURM_JOB_ID=$number setsid bash "$2" >>"${{log/\\%j/$number}}" 2>&1 </dev/null &
echo "$!" >"$here/$number"
echo "$number"
"""
SQUEUE = """#!/bin/bash
number=$3
if [ "$2" = --name ]; then
  number=$(cat {here}/last 2>/dev/null) && kill -0 "$(cat {here}/$number)" 2>/dev/null && echo "$number"
  exit 0
fi
if pid=$(cat {here}/$number 2>/dev/null) && kill -0 "$pid" 2>/dev/null; then echo RUNNING; exit; fi
echo 'slurm_load_jobs error: Invalid job id specified' >&2
exit 1
"""
KILLING = """#!/bin/bash
# Hands the job in, and kills the launch before it hears of that.
{real} "$@"
kill -9 "$PPID"
"""
ANSWERING = """#!/bin/bash
echo "$@" >>{here}/asked
out={here}/"$1".out
if [ -e "$out" ]; then cat "$out"; fi
if [ -e {here}/"$1".err ]; then cat {here}/"$1".err >&2; fi
exit "$(cat {here}/"$1".status 2>/dev/null || echo 0)"
"""


def slurm(folder: Path) -> Path:
    """sbatch and squeue in `folder`, which is returned."""
    return _commands(folder, {"sbatch": SBATCH, "squeue": SQUEUE})


def killing(folder: Path) -> str:
    """A PATH with an sbatch that hands jobs to the one on the PATH, and kills whoever has called it."""
    real = shutil.which("sbatch")
    folder.mkdir()
    (folder / "sbatch").write_text(KILLING.format(real=real), encoding="utf-8")
    (folder / "sbatch").chmod(0o755)
    return path_with(folder)


def answering(folder: Path, command: str) -> Path:
    """A `command` that prints the files VERB.out and VERB.err of `folder`, ends with the status in
    VERB.status, and adds what it was asked to `asked`."""
    return _commands(folder, {command: ANSWERING})


def _commands(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text.format(here=folder), encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def path_without(folder: Path, *needed: str) -> str:
    """A PATH with no commands but `needed`, as links in `folder`."""
    folder.mkdir(exist_ok=True)
    for name in needed:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


def scripts(target: Target, text: str) -> Iterator[str]:
    """The shell scripts in what a target is given."""
    if target == "slurm":
        yield text
        return
    *_, document = documents = list(yaml.safe_load_all(text))
    if target == "ray":
        yield document["entrypoint"]
    elif target == "sky":
        yield from (document["setup"], document["run"])
    else:
        yield documents[0]["data"]["head.sh"]


def tessy_launch(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tessy.cli", "launch", *arguments]
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)


def slow_python(folder: Path) -> str:
    """A "Python" that says that it runs, and ends with the status that is written to `folder/go`."""
    program, go = folder / "slow", folder / "go"
    lines = [
        "echo world done",
        f"until [ -s {go} ]; do sleep 0.05; done",
        "echo report done",
        f'exit "$(cat {go})"',
    ]
    program.write_text("\n".join(["#!/bin/bash", *lines]))
    program.chmod(0o755)
    return str(program)


class Launches:
    """`tessy launch` on Slurm's stand-ins, of a recipe that runs until it is told to end."""

    def __init__(self, tmp_path: Path, python: str) -> None:
        self.folder = tmp_path / "runs" / "mini" / "launch"
        self.slurm = Slurm("mini", self.folder)
        self.go = tmp_path / "go"
        python = f"execution.launch.python={python}"
        self.arguments = ["recipes/mini.yaml", python, "--on", "slurm", "--runs-dir", str(tmp_path / "runs")]

    def detached(self, *more: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        return tessy_launch(*self.arguments, "--detach", *more, path=path)

    def end(self, job: str, status: int) -> None:
        self.go.write_text(str(status))
        wait_for(lambda: self.slurm.state(job) != "running")
        self.go.unlink()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
