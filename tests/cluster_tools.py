"""Stand-ins for the commands of clusters, put before the real ones on the PATH.

Slurm's runs the script that it is given, in the background. kubectl's and sky's answer with what a test has
written down for them, and keep what they were asked.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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
if pid=$(cat {here}/$number 2>/dev/null) && kill -0 "$pid" 2>/dev/null; then echo RUNNING; exit; fi
echo 'slurm_load_jobs error: Invalid job id specified' >&2
exit 1
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
