"""The recipe's section `execution.cluster`: where the workers of a stage run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tessy.config.base import Positive, Rate, Section

Count = Annotated[int, Field(ge=0)]


class WorkerSize(Section):
    """What one worker is given. What is not said follows from the stage: the devices of its engines,
    `execution.threads` or `judge_workers` cores."""

    gpus: Count | None = None
    cores: Positive | None = None
    memory_gib: Rate | None = None


class Cluster(Section):
    """Fields of every kind of cluster."""

    worker: WorkerSize = WorkerSize()
    environment: dict[str, str] = Field(default_factory=dict)
    """Further environment variables of workers."""


class LocalCluster(Cluster):
    """Workers are processes on the machine that runs the stage."""

    kind: Literal["local"] = "local"


class RayCluster(Cluster):
    """Workers are actors of a Ray cluster, each with a placement group's bundle of its own. All machines see
    the run folder under the same path."""

    kind: Literal["ray"]
    address: str = "auto"
    """The cluster's: `auto` is the one this machine belongs to; else HOST:PORT of its head. `local` starts
    one on this machine, for the stage."""
    spread: Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"] = "SPREAD"
    """How a placement group lays its workers over nodes, by Ray's names."""


class SlurmCluster(Cluster):
    """Workers are tasks of a Slurm job array, submitted by `submitit`. All machines see the run folder under
    the same path."""

    kind: Literal["slurm"]
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time_minutes: Positive = 240
    """The time limit of one worker; one that reaches it is submitted again."""
    setup: tuple[str, ...] = ()
    """Shell commands before each worker starts: `module load cuda`."""
    options: dict[str, str | int | bool] = Field(default_factory=dict)
    """Further options of sbatch by their long names: {exclude: node7, exclusive: true}."""


CLUSTERS = ("local", "ray", "slurm")


def _kind(given: Any) -> Any:
    """Which of them is meant; this machine where no kind is said."""
    return given.get("kind", "local") if isinstance(given, Mapping) else getattr(given, "kind", None)


AnyCluster = Annotated[
    Annotated[LocalCluster, Tag("local")]
    | Annotated[RayCluster, Tag("ray")]
    | Annotated[SlurmCluster, Tag("slurm")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="kind is none of local, ray, slurm; name one of them",
    ),
]
