"""Recipes are launched on clusters: what is rendered fits the target, what is submitted runs, and is found
again."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tessy.cluster import Resources
from tessy.config.launch import TARGETS, Target
from tessy.config.load import check, load
from tessy.engines.launch import free_ports
from tessy.errors import UserError
from tessy.launch.following import follow
from tessy.launch.rendering import FILES, LONGEST_NAME, RAY_VERSION, option, render, safe_name
from tessy.launch.sizes import head_size, worker_size
from tessy.launch.submitting import Kubernetes, Ray, SkyPilot, Slurm
from tessy.processes import python_module
from tests import cluster_tools, golden
from tests.golden import LAUNCHED, launched

ROOT = Path(__file__).parents[1]
CHECKS = Path(sys.prefix) / "checks"
"""Where `make cluster` puts schemas and linters (the dependency group `checks`)."""
HOSTILE = ['name=it\'s "a" $HOME `date`', "description=a\\b  c#d;e&f|g>*?[x]"]


def scripts(target: Target, text: str) -> Iterator[str]:
    """The shell scripts in what a target is given."""
    if target == "slurm":
        yield text
        return
    *_, document = documents = list(yaml.safe_load_all(text))
    if target == "ray":
        yield document["entrypoint"]
    elif target == "sky":
        yield from (document["setup"], document["run"])
    else:
        yield documents[0]["data"]["head.sh"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("recipe", golden.recipes())
def test_every_shipped_recipe_renders_for_every_target(recipe: str, target: Target) -> None:
    text = render(target, launched(target, recipe))
    for script in scripts(target, text):
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_rendered_is_what_is_written_down(target: Target) -> None:
    written = (golden.FOLDER / "launch" / FILES[target]).read_text(encoding="utf-8")
    assert render(target, launched(target, LAUNCHED)) == written, (
        "run `python -m tests.golden`, read the diff"
    )


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """A "Python" that writes the arguments that it is given, and the folder where it is, to a file."""
    program = tmp_path / "an odd  folder's $python"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))"
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("target", TARGETS)
def test_arguments_and_paths_survive_every_shell(tmp_path: Path, echo: str, target: Target) -> None:
    odd = tmp_path / 'it\'s "odd" $here'
    odd.mkdir()
    head = launched(target, "recipes/mini.yaml", [f"execution.launch.python={json.dumps(echo)}"])
    head = replace(head, overrides=HOSTILE, runs_dir=str(odd), directory=str(odd))
    (tmp_path / "launch").mkdir()
    if target in ("sky", "k8s"):
        there = head.execution.launch.model_copy(update={"directory": str(odd), "mount": str(odd)})
        changed = head.execution.model_copy(update={"launch": there, "workers": 1})
        if target == "sky":
            changed = changed.model_copy(
                update={"cluster": load(ROOT / "recipes/mini.yaml").execution.cluster}
            )
        head = replace(head, recipe=head.recipe.model_copy(update={"execution": changed}))
    (odd / head.recipe.name / "launch").mkdir(parents=True)
    *_, script = scripts(target, render(target, head))
    done = subprocess.run(
        ["bash", "-c", script.replace("module load cuda", "")],
        capture_output=True,
        text=True,
        cwd=odd,
        env={**os.environ, "SLURM_JOB_ID": "7"},
    )
    assert done.returncode == 0, done.stderr
    given = [] if target == "k8s" else HOSTILE
    file = "/etc/tessy/recipe.yaml" if target == "k8s" else "recipes/mini.yaml"
    flags = ["-P", "-X", "utf8", "-m", "tessy.cli"]
    assert json.loads(done.stdout) == [str(odd), *flags, "run", file, *given, "--runs-dir", str(odd)]


@pytest.mark.parametrize("recipe", golden.recipes())
def test_kubernetes_gets_the_recipe_that_was_checked(recipe: str) -> None:
    head = launched("k8s", recipe, ["train.seeds=[5]"])
    first, _ = yaml.safe_load_all(render("k8s", head))
    assert check(yaml.safe_load(first["data"]["recipe.yaml"]), "it") == head.recipe


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_are_taken_everywhere_and_stay_different(one: str, other: str) -> None:
    names = [safe_name(one), safe_name(other)]
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) for name in names)
    assert all(len(name) <= LONGEST_NAME for name in names)
    assert (names[0] == names[1]) == (one == other)


def test_a_name_that_is_safe_stays() -> None:
    assert safe_name("one-gpu") == "one-gpu"


def test_an_option_of_sbatch_is_one_line_and_one_word() -> None:
    assert option("a/b.log") == "a/b.log"
    assert option('a "b" #c') == '"a \\"b\\" #c"'
    with pytest.raises(UserError, match="one line"):
        option("gpu\n#SBATCH --wrap=evil")


@pytest.mark.parametrize(
    ("recipe", "overrides", "head", "worker"),
    [
        # Says nothing of GPUs: none are guessed.
        ("mini", [], Resources(0, 2), Resources(0, 1)),
        # Everything in one job: the larger of eight GPUs for engines and eight for training.
        ("paper/tessy", [], Resources(8, 32), Resources(8, 32)),
        # Workers elsewhere: the head job needs what trains.
        ("paper/tessy", ["execution.cluster.kind=ray"], Resources(8, 8), Resources(8, 32)),
        ("one-gpu/lora-80gb", ["execution.cluster.kind=slurm"], Resources(1, 8), Resources(1, 8)),
        (
            "one-gpu/lora-80gb",
            [
                "execution.launch.head={gpus: 0, cores: 3, memory_gib: 4.5}",
                "execution.cluster={kind: ray, worker: {gpus: 2}}",
            ],
            Resources(0, 3, 4.5),
            Resources(2, 8),
        ),
    ],
)
def test_sizes_follow_from_the_recipe(
    recipe: str, overrides: list[str], head: Resources, worker: Resources
) -> None:
    execution = load(ROOT / "recipes" / f"{recipe}.yaml", overrides).execution
    assert (head_size(execution), worker_size(execution)) == (head, worker)


@pytest.mark.parametrize(
    ("target", "overrides", "said"),
    [
        ("slurm", ["execution.cluster={kind: ray}"], "kind 'ray'.*use 'slurm' or 'local'"),
        ("ray", ["execution.cluster={kind: slurm}"], "kind 'slurm'.*use 'ray' or 'local'"),
        ("k8s", ["execution.launch={image: a}"], "execution.launch.volume: required on k8s"),
        ("k8s", ["execution.launch={}"], "image and execution.launch.volume: required"),
        ("k8s", ["execution.cluster={kind: ray, address: 'a:1'}"], "address 'a:1'.*use 'auto'"),
        ("sky", ["execution.launch={volume: runs}"], "execution.launch.accelerator"),
        ("sky", ["execution.launch={accelerator: H100}"], "execution.launch.volume.*several nodes"),
        ("ray", ["execution.cluster.environment={'A B': c}"], "environment 'A B'"),
        ("ray", ["execution.launch={imge: a}"], "execution.launch.imge: unknown key; did you mean 'image'"),
        ("slurm", ["execution.launch={options: {job-name: a}}"], "options job_name follow from the recipe"),
        ("slurm", ["execution.launch={directory: here}"], "execution.launch.directory: 'here'"),
    ],
)
def test_what_does_not_fit_is_refused(target: Target, overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        render(target, launched(target, LAUNCHED, overrides))


def test_rays_version_is_the_one_that_is_pinned() -> None:
    assert f"ray[default]=={RAY_VERSION}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def tessy_launch(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tessy.cli", "launch", *arguments]
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)


def test_a_dry_run_prints_and_writes_nothing(tmp_path: Path) -> None:
    done = tessy_launch(
        "recipes/mini.yaml", "--on", "slurm", "--dry-run", "--runs-dir", str(tmp_path / "runs")
    )
    assert done.returncode == 0
    assert done.stdout.startswith("#!/bin/bash\n")
    assert "execution.cluster.kind=slurm" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recipes/nowhere.yaml", "--on", "ray"], "no such file"),
        (["recipes/mini.yaml", "problems.source=gone.jsonl", "--on", "slurm"], "'gone.jsonl': no such file"),
        (["recipes/mini.yaml", "execution.launch.imge=a", "--on", "k8s"], "did you mean 'image'"),
        ([str(ROOT / "recipes/mini.yaml"), "--on", "sky"], "give a relative path"),
    ],
)
def test_bad_input_is_refused_before_anything_is_rendered(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = tessy_launch(*arguments, "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "more", "remedy"),
    [
        ("slurm", [], "apt-get install slurm-client"),
        ("sky", [], "pipx install 'skypilot"),
        ("k8s", ["execution.launch={image: a, volume: b}"], "apt-get install kubernetes-client"),
    ],
)
def test_a_missing_tool_is_named_with_what_installs_it(
    tmp_path: Path, target: Target, more: list[str], remedy: str
) -> None:
    done = tessy_launch(
        *("recipes/mini.yaml", *more, "--on", target, "--runs-dir", str(tmp_path / "runs")),
        path=cluster_tools.path_without(tmp_path / "bin", "bash"),
    )
    assert done.returncode == 2
    assert remedy in done.stderr


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """A "Python" that says that it runs, and ends with the status that is written to the file `go`."""
    program, go = tmp_path / "slow", tmp_path / "go"
    lines = [
        "echo world done",
        f"until [ -s {go} ]; do sleep 0.05; done",
        "echo report done",
        f'exit "$(cat {go})"',
    ]
    program.write_text("\n".join(["#!/bin/bash", *lines]))
    program.chmod(0o755)
    return str(program)


class Launches:
    """`tessy launch` on Slurm's stand-ins, of a recipe that runs until it is told to end."""

    def __init__(self, tmp_path: Path, python: str) -> None:
        self.folder = tmp_path / "runs" / "mini" / "launch"
        self.slurm = Slurm(self.folder)
        self.go = tmp_path / "go"
        python = f"execution.launch.python={python}"
        self.arguments = ["recipes/mini.yaml", python, "--on", "slurm", "--runs-dir", str(tmp_path / "runs")]

    def detached(self, *more: str) -> subprocess.CompletedProcess[str]:
        return tessy_launch(*self.arguments, "--detach", *more)

    def end(self, job: str, status: int) -> None:
        self.go.write_text(str(status))
        wait_for(lambda: self.slurm.state(job) != "running")
        self.go.unlink()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def launches(tmp_path: Path, slow: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launches]:
    commands = cluster_tools.slurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", cluster_tools.path_with(commands))
    yield Launches(tmp_path, slow)
    for file in commands.iterdir():
        if file.name.isdigit():
            with suppress(ProcessLookupError):
                os.killpg(int(file.read_text()), signal.SIGKILL)


def test_the_same_command_finds_its_job_again_and_submits_anew_after_a_failure(launches: Launches) -> None:
    first = launches.detached()
    assert (first.returncode, first.stderr.count("error")) == (0, 0), first.stderr
    assert "as job 41" in first.stdout
    assert "scancel 41" in first.stdout
    assert "job 41 is running already" in launches.detached().stdout
    other = launches.detached("train.epochs=3")
    assert other.returncode == 2
    assert "job 41 on slurm works here" in other.stderr
    launches.end("41", status=1)
    assert launches.slurm.state("41") == "failed"
    assert "as job 42" in launches.detached("train.epochs=3").stdout
    launches.end("42", status=0)
    assert launches.slurm.state("42") == "succeeded"
    assert "report done" in (launches.folder / "head-42.log").read_text()


def test_a_job_is_followed_to_its_end(launches: Launches, capfd: pytest.CaptureFixture[str]) -> None:
    launches.detached()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        launches.go.write_text("0")

    assert follow(launches.slurm, "41", say, poll_s=0.1) == "succeeded"
    assert said == ["job 41: running"]
    assert capfd.readouterr().out.splitlines() == ["world done", "report done"]


def test_a_job_that_was_killed_is_gone(launches: Launches, tmp_path: Path) -> None:
    launches.detached()
    os.killpg(int((tmp_path / "bin" / "41").read_text()), signal.SIGKILL)
    wait_for(lambda: launches.slurm.state("41") == "gone")


def test_ctrl_c_detaches_and_leaves_the_job(launches: Launches) -> None:
    command = [sys.executable, "-P", "-m", "tessy.cli", "launch", *launches.arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdout is not None
        seen = ""
        while "world done" not in seen:
            seen += run.stdout.readline()
        run.send_signal(signal.SIGINT)
        rest = run.stdout.read()
    assert run.returncode == 130
    assert "Detached: job 41 goes on" in rest
    assert launches.slurm.state("41") == "running"


@pytest.mark.parametrize(
    ("printed", "refused", "state"),
    [
        ("Initializing/", "", "waiting"),
        ("Running/RUNNING", "", "running"),
        ("Complete/SUCCEEDED", "", "succeeded"),
        ("Failed/FAILED", "", "failed"),
        ("ValidationFailed/", "", "failed"),
        ("", 'Error from server (NotFound): rayjobs.ray.io "mini" not found', "gone"),
    ],
)
def test_kubernetes_words_for_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, refused: str, state: str
) -> None:
    folder = cluster_tools.answering(tmp_path / "bin", "kubectl")
    monkeypatch.setenv("PATH", cluster_tools.path_with(folder))
    (folder / "get.out").write_text(printed)
    (folder / "get.err").write_text(refused)
    (folder / "get.status").write_text("1" if refused else "0")
    assert Kubernetes("mini").state("mini") == state


def test_kubernetes_replaces_what_an_earlier_launch_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cluster_tools.answering(tmp_path / "bin", "kubectl")
    monkeypatch.setenv("PATH", cluster_tools.path_with(folder))
    (folder / "get.out").write_text("Failed/FAILED")
    assert Kubernetes("mini").submit(Path("k8s.yaml")) == "mini"
    asked = (folder / "asked").read_text().splitlines()
    assert asked[1:] == ["delete --ignore-not-found -f k8s.yaml", "create -f k8s.yaml"]
    (folder / "get.out").write_text("Running/RUNNING")
    with pytest.raises(UserError, match=r"at work already.*--name"):
        Kubernetes("mini").submit(Path("k8s.yaml"))


@pytest.mark.parametrize(
    ("status", "state"), [(0, "succeeded"), (100, "failed"), (101, "running"), (103, "failed"), (1, "gone")]
)
def test_skypilots_statuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, state: str) -> None:
    folder = cluster_tools.answering(tmp_path / "bin", "sky")
    monkeypatch.setenv("PATH", cluster_tools.path_with(folder))
    (folder / "logs.status").write_text(str(status))
    assert SkyPilot("mini").state("mini") == state
    SkyPilot("mini").submit(Path("sky.yaml"))
    assert (folder / "asked").read_text().splitlines()[
        -1
    ] == "launch --yes --detach-run --cluster mini sky.yaml"


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
def test_a_recipe_is_launched_on_a_real_slurm(real_slurm: None, tmp_path: Path, slow: str) -> None:
    runs = tmp_path / "it's 100% odd"
    launches = Launches(tmp_path, slow)
    launches.folder = runs / "mini" / "launch"
    launches.slurm = Slurm(launches.folder)
    launches.arguments[-1] = str(runs)
    launches.arguments.insert(1, SMALL)
    first = launches.detached()
    assert first.returncode == 0, first.stderr
    job = first.stdout.split("as job ")[1].split()[0]
    wait_for(lambda: launches.slurm.state(job) == "running", 60)
    assert f"job {job} is running already" in launches.detached().stdout
    subprocess.run(["scancel", job], check=True)
    wait_for(lambda: launches.slurm.state(job) not in ("waiting", "running"), 60)
    assert launches.slurm.state(job) == "failed"
    second = launches.detached().stdout.split("as job ")[1].split()[0]
    wait_for(lambda: launches.slurm.state(second) == "running", 60)
    launches.go.write_text("0")
    assert follow(launches.slurm, second, print, poll_s=0.5) == "succeeded"
    assert (launches.folder / f"head-{second}.log").read_text().splitlines() == ["world done", "report done"]


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Ray cluster of one node with a job server."""
    folder = tmp_path_factory.mktemp("ray")
    ports = [str(port) for port in free_ports(2)]
    command = python_module(
        *("ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=4", "--disable-usage-stats"),
        *(f"--port={ports[0]}", f"--dashboard-port={ports[1]}", f"--temp-dir={folder}"),
    )
    with (folder / "log").open("wb") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: answers(ports[1]), 90)
        yield f"127.0.0.1:{ports[0]}"
    finally:
        head.terminate()
        head.wait(60)


def answers(port: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=2).status == 200)
    except OSError:
        return False


@pytest.mark.ray
def test_a_recipe_is_launched_on_a_real_ray_cluster(ray_cluster: str, tmp_path: Path, slow: str) -> None:
    python, cluster = (
        f"execution.launch.python={slow}",
        f"execution.cluster={{kind: ray, address: '{ray_cluster}'}}",
    )
    runs = tmp_path / "it's 100% odd"
    command = ["recipes/mini.yaml", python, cluster, "--on", "ray", "--runs-dir", str(runs)]
    first = tessy_launch(*command, "--detach")
    assert first.returncode == 0, first.stderr
    job = first.stdout.split("as job ")[1].split()[0]
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
