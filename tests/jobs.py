"""Jobs for tests that run a stage's own code in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessy.config.load import load
from tessy.runtime.job import Job
from tessy.tracking import Tracker

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"
MODELS = {role: {"source": "?", "revision": None, "format": "qwen3"} for role in ("student", "teacher")}


def job_at(folder: Path, method: str, inputs: dict[str, str], **config: Any) -> Job:
    """The job that writes the set of `method`, in a folder of its own below the run's; `inputs` are names
    in that folder, and models are always inputs."""
    out = folder / f"{method}-{len(list(folder.iterdir()))}"
    out.mkdir()
    config = {"method": method, "seed": 0, "models": MODELS} | config
    tracking = {"mode": "disabled", "project": "p", "group": "g", "name": "n", "kind": "k", "config": {}}
    tracker = Tracker(out, **tracking, mirror=out)  # type: ignore[arg-type]
    folders = {name: folder / made for name, made in inputs.items()}
    execution = load(MINI).execution.model_dump(mode="json")
    return Job(method, "k", config, folders, out, execution, tracker, lambda _: None)
