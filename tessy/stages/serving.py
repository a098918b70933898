"""What a stage's engines need, known before it runs: which servers it will ask for, so that a run keeps them
for it, and what each of several workers has to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tessy.cluster import Resources
from tessy.config.engines import EngineSettings, PredictorEngine
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


def needed(execution: Execution, engines: Iterable[EngineSettings]) -> Resources:
    """What one worker with `engines` needs. Its GPUs are the devices that the recipe names for them; what it
    does not name, `execution.cluster.worker.gpus` has to."""
    devices = {name for engine in engines for name in named_devices(engine)}
    return Resources(gpus=len(devices), cores=execution.threads)


def named_devices(engine: EngineSettings) -> Iterator[str]:
    """The GPUs that the recipe names for an engine."""
    for place in engine.devices:
        yield from place.split(",")
    if isinstance(engine, PredictorEngine) and engine.device != "cpu":
        yield engine.device.partition(":")[2] or "0"
