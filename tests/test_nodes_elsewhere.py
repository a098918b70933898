"""Training over nodes of a Ray cluster and of Slurm: one node lost, the same curve as on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage

from tessy.artifacts import read_json, write_json
from tessy.runtime.job import JOB
from tests.slurm_cluster import slurm_cluster
from tests.test_nodes import LONG, TWO_NODES, disturbed, folder, log_of, node, saved, undisturbed

__all__ = ["folder", "undisturbed"]
pytestmark = pytest.mark.timeout(300)


def check(folder: Path, undisturbed: Path, name: str, cluster: Mapping[str, Any]) -> None:
    """Training on two nodes of `cluster`, whose second is killed after a checkpoint."""
    partial = stage.make_job(folder, name, LONG, **TWO_NODES)
    spec = read_json(partial / JOB)
    write_json(partial / JOB, spec | {"execution": spec["execution"] | {"cluster": dict(cluster)}})
    started = disturbed(partial, lambda: saved(partial), lambda: node(partial, 1))
    assert started.wait() == 0, log_of(partial)[-3000:]
    assert "interrupted: node 1" in log_of(partial)
    assert stage.losses(partial.with_suffix("")) == pytest.approx(stage.losses(undisturbed), rel=1e-6)


@pytest.mark.ray
def test_a_lost_node_on_ray(folder: Path, undisturbed: Path) -> None:
    pytest.importorskip("ray", reason="run: pip install 'tessy[cluster]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
        where = {"kind": "ray", "address": cluster.address, "worker": {"gpus": 0}}
        check(folder, undisturbed, "on-ray", where)
    finally:
        cluster.shutdown()


@pytest.mark.slurm
def test_a_lost_node_on_slurm(
    folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slurm_cluster(tmp_path / "c") as slurm:
        monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
        # Its stages have the environment in which it was started, and it ends with this Slurm.
        another_fork_server()
        where = {"kind": "slurm", "worker": {"gpus": 0, "cores": 1, "memory_gib": 2}}
        check(folder, undisturbed, "on-slurm", where)
        assert slurm.jobs() == {}
        another_fork_server()


def another_fork_server() -> None:
    """Stages from now on are started by another one."""
    stage.fork_server().close()
    stage.fork_server.cache_clear()
