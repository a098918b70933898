"""What the head job and a worker need, from a recipe alone. Pure.

GPUs are counted only where the recipe says that it runs on some: by `execution.train.device`, or by a
predictor's `device: cuda`. vLLM servers and training run on CPUs as well, and a login node tells nothing
about the machines behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tessy.cluster import Resources
from tessy.config.cluster import WorkerSize
from tessy.config.execution import Execution
from tessy.engines.devices import Devices
from tessy.records import ROLES


def worker_size(execution: Execution) -> Resources:
    """One worker: the devices of its engines, and the cores of the stage that takes most."""
    cores = max(execution.threads, execution.judge_workers)
    return _given(execution.cluster.worker, engine_gpus(execution), cores)


def head_size(execution: Execution) -> Resources:
    """The head job: training and small stages, and everything where no cluster places workers."""
    gpus = execution.train.processes if names_gpus(execution) else 0
    cores = execution.jobs * execution.threads
    if execution.cluster.kind == "local":
        gpus = max(gpus, engine_gpus(execution))
        cores = max(cores, execution.judge_workers)
    return _given(execution.launch.head, gpus, max(cores, execution.train.processes))


def _given(asked: WorkerSize, gpus: int, cores: int) -> Resources:
    return Resources(
        gpus if asked.gpus is None else asked.gpus,
        asked.cores or cores,
        asked.memory_gib,
    )


def names_gpus(execution: Execution) -> bool:
    """Whether the recipe says that it runs on GPUs."""
    predictors = (execution.predictors.of(role).device for role in ROLES)
    return execution.train.device is not None or any(device != "cpu" for device in predictors)


def engine_gpus(execution: Execution) -> int:
    """Different GPUs that the engines of one process use; engines that share one count it once."""
    if not names_gpus(execution):
        return 0
    return len({name for device in _devices(execution) for name in device})


def _devices(execution: Execution) -> Iterator[tuple[str, ...]]:
    gpus = Devices("gpu", (1,))
    for role in ROLES:
        engine, predictor = execution.engines.of(role), execution.predictors.of(role)
        if not engine.endpoints:
            yield gpus.of(engine)
        if predictor.starts_servers or predictor.device != "cpu":
            yield gpus.of(predictor)
