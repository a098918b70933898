"""Jobs for tests that run a stage's own code in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.records import ROLES, Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.tracking import Tracker

C = TypeVar("C", bound=StageConfig)

REFERENCE = ModelReference(source="?", format="qwen3")
"""A model that is an input: where the recipe says it is does not matter then."""
MODELS: dict[Role, ModelReference] = dict.fromkeys(ROLES, REFERENCE)


def job_at(
    folder: Path, name: str, config: C, inputs: Mapping[str, str] | None = None, **execution: Any
) -> Job[C]:
    """The stage `name` of `config`, in a folder of its own below the run's; `inputs` are folders of the run.
    `execution` is what differs from the defaults of the recipe's section."""
    out = folder / f"{name}-{len(list(folder.iterdir()))}"
    out.mkdir()
    tracker = Tracker(
        out, mode="disabled", project="p", group="g", name=name, kind="k", config={}, mirror=out / "wandb"
    )
    made = {key: folder / value for key, value in (inputs or {}).items()}
    return Job(name, "k", config, made, out, Execution(**execution), tracker, lambda _: None)
