"""Recipes are launched on clusters: what is rendered fits the target, what is submitted runs, and is found
again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tessy.cluster import Resources
from tessy.config.launch import TARGETS, Target
from tessy.config.load import check, load
from tessy.errors import UserError
from tessy.launch.following import follow
from tessy.launch.rendering import FILES, LONGEST_NAME, RAY_VERSION, option, render, safe_name
from tessy.launch.sizes import head_size, worker_size
from tessy.launch.submitting import Kubernetes, SkyPilot
from tests import cluster_tools, golden
from tests.cluster_tools import Launches, scripts, slow_python, tessy_launch, wait_for
from tests.golden import LAUNCHED, launched

ROOT = Path(__file__).parents[1]
HOSTILE = ['name=it\'s "a" $HOME `date`', "description=a\\b  c#d;e&f|g>*?[x]"]


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


def test_a_dry_run_prints_and_writes_nothing(tmp_path: Path) -> None:
    done = tessy_launch(
        "recipes/mini.yaml", "--on", "slurm", "--dry-run", "--runs-dir", str(tmp_path / "runs")
    )
    assert done.returncode == 0
    assert done.stdout.startswith("#!/bin/bash\n")
    assert "execution.cluster.kind=slurm" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_only_this_machine_lacks_is_said_and_no_reason_to_refuse(tmp_path: Path) -> None:
    """A server's key, for example, which the job may have."""
    engine = "{kind: server, endpoints: ['http://node1:8000/v1'], api_key_env: NOT_SET_ANYWHERE}"
    done = tessy_launch(
        *("recipes/mini.yaml", f"execution.engines.student={engine}", "--on", "slurm", "--dry-run"),
        *("--runs-dir", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "note: on this machine, and checked again by the job: execution.engines.student" in done.stderr


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
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launches]:
    commands = cluster_tools.slurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", cluster_tools.path_with(commands))
    yield Launches(tmp_path, slow_python(tmp_path))
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


def test_a_launch_that_is_killed_while_it_submits_is_found_again(launches: Launches, tmp_path: Path) -> None:
    killed = launches.detached(path=cluster_tools.killing(tmp_path / "killing"))
    assert killed.returncode == -signal.SIGKILL
    other = launches.detached("train.epochs=3")
    assert "job 41 on slurm works here" in other.stderr
    assert "job 41 is running already" in launches.detached().stdout
    launches.end("41", status=1)
    assert "as job 42" in launches.detached().stdout


def test_a_launch_that_is_killed_before_it_submits_submits(launches: Launches, tmp_path: Path) -> None:
    refusing = cluster_tools.answering(tmp_path / "refusing", "sbatch")
    (refusing / "--parsable.status").write_text("1")
    assert launches.detached(path=cluster_tools.path_with(refusing)).returncode == 2
    assert "as job 41" in launches.detached().stdout


def test_jobs_of_two_run_folders_have_two_names() -> None:
    heads = [launched("slurm", "recipes/mini.yaml")]
    heads.append(replace(heads[0], runs_dir="/elsewhere"))
    heads.append(replace(heads[0], name="a" * LONGEST_NAME))
    names = [head.job_name for head in heads]
    assert len(set(names)) == 3
    assert all(name == safe_name(name) for name in names)
    assert names[0].startswith("mini-")


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


def test_where_nothing_can_be_written_nothing_is_submitted(launches: Launches, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    done = launches.detached()
    assert done.returncode == 2
    assert f"--runs-dir: cannot write in {tmp_path}/runs/mini/launch (" in done.stderr
    assert not (tmp_path / "bin" / "last").exists()


def test_no_second_job_is_submitted_where_the_first_cannot_be_asked_for(
    launches: Launches, tmp_path: Path
) -> None:
    launches.detached()
    (tmp_path / "bin" / "squeue").write_text("#!/bin/bash\necho 'Socket timed out' >&2; exit 1\n")
    done = launches.detached()
    assert done.returncode == 2
    assert "whether job 41 on slurm is still at work" in done.stderr
    assert "Socket timed out" in done.stderr
    assert f"delete {launches.folder}/job.json" in done.stderr


def test_ctrl_c_detaches_and_leaves_the_job(launches: Launches) -> None:
    command = [sys.executable, "-P", "-m", "tessy.cli", "launch", *launches.arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # What a shell starts in the background takes no notice of Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
    assert Kubernetes("mini").find() == ("mini" if state in ("waiting", "running") else None)


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
    assert SkyPilot("mini").find() == ("mini" if state == "running" else None)
    SkyPilot("mini").submit(Path("sky.yaml"))
    assert (folder / "asked").read_text().splitlines()[
        -1
    ] == "launch --yes --detach-run --cluster mini sky.yaml"
