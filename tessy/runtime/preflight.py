"""Checks before anything starts: each stage's own checks, the run folder, the disk.

All faults are reported together, each with its remedy. Creates nothing but an empty run folder.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tessy.errors import UserError
from tessy.runtime.plan import Plan, Runnable
from tessy.runtime.reuse import decide

DISK_NEEDED = 1 << 30
"""Bytes that must be free before a run starts: what a miniature run leaves, twice over."""


def preflight(planned: Plan[Runnable], runs_dir: Path, disk_needed: int = DISK_NEEDED) -> None:
    """Raise `UserError` listing everything that would stop `planned` later."""
    folder, execution = runs_dir / planned.recipe.name, planned.recipe.execution
    todo = [decision.stage for decision in decide(planned, folder) if decision.action != "reuse"]
    # Many stages read the same model or file: each fault is reported once.
    faults = list(dict.fromkeys(fault for stage in todo for fault in stage.config.faults(execution)))
    if not faults and todo:
        faults += folder_faults(folder, disk_needed)
    if faults:
        raise UserError("\n       ".join(faults))


def folder_faults(folder: Path, disk_needed: int = DISK_NEEDED) -> Iterator[str]:
    """Why nothing can be written in `folder`, which is made if there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield f"--runs-dir: cannot write in {folder} ({error.strerror}); choose another folder"
        return
    if free < disk_needed:
        megabytes = f"{free >> 20} MiB free, {disk_needed >> 20} needed"
        yield f"--runs-dir: {folder} has {megabytes}; free some or choose another disk"
