"""The executor and the claims that a recipe's cluster uses; its library is imported only here."""

from __future__ import annotations

from pathlib import Path

from tessy.claims import Claims
from tessy.claims.files import FileClaims
from tessy.cluster import Executor
from tessy.cluster.local import LocalExecutor
from tessy.config.cluster import AnyCluster


def executor_of(cluster: AnyCluster) -> Executor:
    """What places workers on `cluster`."""
    if cluster.kind == "ray":
        from tessy.cluster.on_ray import RayExecutor

        return RayExecutor(cluster)
    if cluster.kind == "slurm":
        from tessy.cluster.on_slurm import SlurmExecutor

        return SlurmExecutor(cluster)
    return LocalExecutor()


def claims_of(cluster: AnyCluster, folder: Path) -> Claims:
    """The claims of the work in `folder`, as a new owner sees them."""
    if cluster.kind == "ray":
        from tessy.cluster.coordinator import RayClaims

        return RayClaims(cluster, folder)
    return FileClaims(folder)
