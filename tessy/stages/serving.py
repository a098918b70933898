"""Which servers a stage will ask for, known before it runs: a run keeps those for it that are running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.config.switches import Switch
from tessy.engines.shared import title_of, watcher
from tessy.records import ROLES, Role


def of_models(
    execution: Execution, inputs: Mapping[str, Path], models: Mapping[Role, ModelReference], named: str = ""
) -> Iterator[str]:
    """Titles of the servers of `models`; one that is made by a run is the input called `named`, or as its
    role."""
    for role, model in models.items():
        if execution.engines.of(role).starts_servers:
            made = inputs.get(named or role)
            yield title_of(role, model.within(made) if made else model.source)


def of_predictors(
    execution: Execution,
    inputs: Mapping[str, Path],
    switches: Iterable[Switch],
    roles: Iterable[Role] = ROLES,
) -> Iterator[str]:
    """Titles of the servers of the predictors of `roles` that `switches` use."""
    for role in roles:
        if not execution.predictors.of(role).starts_servers:
            continue
        for switch in switches:
            if switch.kind == "checkpoints":
                yield title_of(
                    watcher(role), (switch.student if role == "student" else switch.teacher).source
                )
            elif switch.kind == "trained" and (made := inputs.get(f"predictor-{role}")):
                yield title_of(watcher(role), str(made / "model"))
