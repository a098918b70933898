"""What is launched, as others see it: shellcheck, the schemas of SkyPilot and Kubernetes, a real Slurm, and a
real Ray cluster."""

from __future__ import annotations

import importlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tessy.config.launch import TARGETS, Target
from tessy.engines.launch import free_ports
from tessy.launch.following import follow
from tessy.launch.rendering import render
from tessy.launch.submitting import Ray, Slurm
from tessy.processes import python_module
from tests import golden
from tests.cluster_tools import Launches, killing, scripts, slow_python, tessy_launch, wait_for
from tests.golden import LAUNCHED, launched

CHECKS = Path(sys.prefix) / "checks"
"""Where `make cluster` puts schemas and linters (the dependency group `checks`)."""


@pytest.mark.slurm
@pytest.mark.parametrize("target", TARGETS)
def test_scripts_pass_shellcheck(target: Target) -> None:
    shellcheck = shutil.which("shellcheck")
    assert shellcheck, "no shellcheck found: apt-get install shellcheck"
    for script in scripts(target, render(target, launched(target, "recipes/mini.yaml"))):
        # SC2016: overrides in single quotes may well hold a `$`.
        command = [shellcheck, "--shell=bash", "--exclude=SC2016", "-"]
        done = subprocess.run(command, input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Path:
    assert CHECKS.is_dir(), "no schemas found: make cluster"
    monkeypatch.syspath_prepend(str(CHECKS))
    return CHECKS


@pytest.fixture
def sky_schemas(checks: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The schemas in SkyPilot's wheel. Importing all of it would need its hundred packages, so the modules
    through which the schemas would do that are left empty."""
    modules: dict[str, dict[str, Any]] = {
        "sky": {"__path__": [str(checks / "sky")], "__version__": "0", "__commit__": ""},
        "sky.server": {"__path__": []},
        "sky.server.daemons": {"INTERNAL_REQUEST_DAEMONS": []},
        "sky.skylet.autostop_lib": {"AutostopWaitFor": types.SimpleNamespace(supported_modes=list)},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    yield importlib.import_module("sky.utils.schemas")
    for name in [name for name in sys.modules if name.startswith("sky.")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.slurm
@pytest.mark.parametrize("cluster", ["local", "ray"])
@pytest.mark.parametrize("recipe", ["recipes/mini.yaml", LAUNCHED])
def test_skypilot_takes_its_task(sky_schemas: Any, recipe: str, cluster: str) -> None:
    import jsonschema

    task = yaml.safe_load(render("sky", launched("sky", recipe, [f"execution.cluster={{kind: {cluster}}}"])))
    jsonschema.validate(task, sky_schemas.get_task_schema())
    jsonschema.validate(task["resources"], sky_schemas.get_resources_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**task, "num_node": 1}, sky_schemas.get_task_schema())


@pytest.mark.slurm
@pytest.mark.parametrize("privileged", ["true", "false"])
def test_kubernetes_takes_the_pods(checks: Path, privileged: str) -> None:
    """By its own schemas, unknown fields refused. KubeRay's definition of a RayJob is in no package."""
    kubernetes_validate = importlib.import_module("kubernetes_validate")
    version = kubernetes_validate.latest_version()
    text = render("k8s", launched("k8s", LAUNCHED, [f"execution.launch.privileged={privileged}"]))
    recipe, job = yaml.safe_load_all(text)
    kubernetes_validate.validate(recipe, version, strict=True)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, **group["template"]}
        kubernetes_validate.validate(pod, version, strict=True)
        pod["spec"]["containers"][0]["imge"] = "a"
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, version, strict=True)


@pytest.fixture(scope="module")
def real_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from tests.slurm_cluster import slurm_cluster

    with pytest.MonkeyPatch.context() as patch, slurm_cluster(tmp_path_factory.mktemp("s") / "c") as running:
        patch.setenv("SLURM_CONF", str(running.conf))
        yield


SMALL = "execution.launch.head={cores: 1, memory_gib: 0.25}"


@pytest.mark.slurm
def test_slurm_takes_every_script(real_slurm: None, tmp_path: Path) -> None:
    for recipe in golden.recipes():
        # The partition, the node and the GPUs are not those of this cluster.
        own = ["execution.cluster={kind: slurm, qos: null}", "execution.launch={time_minutes: 60}"]
        head = launched("slurm", recipe, [*own, "execution.launch.head={gpus: 0, cores: 2}"])
        (script := tmp_path / "script.sh").write_text(render("slurm", head))
        done = subprocess.run(["sbatch", "--test-only", str(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slurm
def test_a_recipe_is_launched_on_a_real_slurm(real_slurm: None, tmp_path: Path) -> None:
    runs = tmp_path / "it's 100% odd"
    launches = Launches(tmp_path, slow_python(tmp_path))
    launches.folder = runs / "mini" / "launch"
    launches.slurm = Slurm("mini", launches.folder)
    launches.arguments[-1] = str(runs)
    launches.arguments.insert(1, SMALL)
    refused = launches.detached("execution.cluster={kind: slurm, partition: none}")
    assert "execution.cluster.partition: sbatch refuses: invalid partition specified: none" in refused.stderr
    assert (
        "execution.launch.head: sbatch refuses" in launches.detached("execution.launch.head.cores=99").stderr
    )
    first = launches.detached()
    assert first.returncode == 0, first.stderr
    job = first.stdout.split("as job ")[1].split()[0]
    wait_for(lambda: launches.slurm.state(job) == "running", 60)
    assert f"job {job} is running already" in launches.detached().stdout
    subprocess.run(["scancel", job], check=True)
    wait_for(lambda: launches.slurm.state(job) not in ("waiting", "running"), 60)
    assert launches.slurm.state(job) == "failed"
    assert launches.detached(path=killing(tmp_path / "bin")).returncode == -signal.SIGKILL
    (second,) = subprocess.run(
        ["squeue", "--noheader", "--format=%i"], capture_output=True, text=True
    ).stdout.split()
    assert f"job {second} is running already" in launches.detached().stdout
    wait_for(lambda: launches.slurm.state(second) == "running", 60)
    launches.go.write_text("0")
    assert follow(launches.slurm, second, print, poll_s=0.5) == "succeeded"
    assert (launches.folder / f"head-{second}.log").read_text().splitlines() == ["world done", "report done"]


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[str]:
    """The address of a Ray cluster of one node with a job server, which asks for a token."""
    # A short path: Ray refuses to start where those of its sockets would be longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield from _ray_head(Path(folder))


def _ray_head(folder: Path) -> Iterator[str]:
    ports = [str(port) for port in free_ports(2)]
    command = python_module(
        *("ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=4", "--disable-usage-stats"),
        *(f"--port={ports[0]}", f"--dashboard-port={ports[1]}", f"--temp-dir={folder}"),
    )
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    with (folder / "log").open("wb") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: answers(ports[1]), 90)
        yield f"127.0.0.1:{ports[0]}"
    finally:
        head.terminate()
        head.wait(60)
        patch.undo()


def answers(port: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=2).status == 200)
    except urllib.error.HTTPError as error:
        # It is there, and asks for the token.
        return error.code == 401
    except OSError:
        return False


@pytest.mark.ray
def test_a_recipe_is_launched_on_a_real_ray_cluster(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, cluster = (
        f"execution.launch.python={slow_python(tmp_path)}",
        f"execution.cluster={{kind: ray, address: '{ray_cluster}'}}",
    )
    runs = tmp_path / "it's 100% odd"
    command = ["recipes/mini.yaml", python, cluster, "--on", "ray", "--runs-dir", str(runs)]
    with monkeypatch.context() as forgotten:
        forgotten.delenv("RAY_AUTH_MODE")
        assert "set RAY_AUTH_MODE=token" in tessy_launch(*command, "--detach").stderr
    first = tessy_launch(*command, "--detach")
    assert first.returncode == 0, first.stderr
    job = first.stdout.split("as job ")[1].split()[0]
    # What a launch leaves that is killed while it submits.
    note = runs / "mini" / "launch" / "job.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"job": None}))
    assert f"job {job} is running already" in tessy_launch(*command, "--detach").stdout
    (tmp_path / "go").write_text("3")
    failed = tessy_launch(*command)
    assert failed.returncode == 1
    assert "failed" in failed.stdout
    (tmp_path / "go").write_text("0")
    again = tessy_launch(*command)
    assert again.returncode == 0, again.stdout
    assert "report done" in again.stdout
    assert job not in again.stdout
    assert Ray(runs / "mini" / "launch").state("raysubmit_unknown") == "gone"
