"""The folder, the shell, the user and the disks that `tessy` is used with decide nothing.

Every test starts real processes. The files in `SHADOWS` are named like modules of ours and of libraries.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from report_samples import cooperative_spans, trace

from eval.judge.selftest import _write_lightcp
from tessy.artifacts import write_parquet
from tessy.processes import INHERITED, python_module

ROOT = Path(__file__).parents[1]
SHADOWS = ("train.py", "eval.py", "tessy.py", "tokenize.py", "datasets.py", "wandb/__init__.py")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
LATIN = ASCII | {"PYTHONIOENCODING": "latin-1"}
MODULES = (
    *("tessy.runtime.fork_server", "tessy.runtime.job", "tessy.bench.worker", "tessy.bench.classify"),
    *("train.agent", "train.answer", "train.probe", "torch.distributed.run"),
)
"""What is started as a process of its own."""
ENTRY = (sys.executable, "-P", "-m", "tessy.cli")
"""`tessy` as its script starts it, but without what `python_module` adds."""
LONG = "a-folder-for-temporary-files-with-a-name-of-forty" * 3
"""Longer than the path of a Unix socket may be (108 bytes), shorter than a name may be (255)."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space in its name and our modules' names in it, each of which says so when imported."""
    place = tmp_path / "my folder"
    for name in SHADOWS:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"raise SystemExit('shadowed by {name}')\n")
    return place


def run(
    command: Sequence[str], where: Path, timeout_s: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    told = {name: value for name, value in os.environ.items() if name not in INHERITED}
    return subprocess.run(
        command,
        cwd=where,
        env=told | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
    )


# Files with our names


def test_commands_do_not_see_the_current_folder(folder: Path) -> None:
    done = run([*ENTRY, "plan", str(ROOT / "recipes" / "mini.yaml")], folder)
    assert done.returncode == 0, done.stdout


def test_every_process_is_started_by_the_one_function() -> None:
    for package in ("tessy", "train", "eval"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "processes.py":
                assert not re.search(r'sys\.executable,\s*"-m"', path.read_text(encoding="utf-8")), path


def test_neither_such_a_process_nor_those_it_starts_see_the_current_folder(folder: Path) -> None:
    (folder / "outer.py").write_text("raise SystemExit('shadowed')\n")
    module = "timeit"
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m', 'tokenize', '/dev/null'], check=True)"
    )
    done = run(python_module(module, "-n", "1", "-r", "1", code), folder, **INHERITED)
    assert done.returncode == 0, done.stdout
    assert "shadowed" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_what_is_started_by_module_finds_ours_and_its_libraries(module: str, folder: Path) -> None:
    done = run(python_module(module, "--nonsense"), folder)
    assert "shadowed" not in done.stdout
    assert "No module named" not in done.stdout


# Terminals without UTF-8


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "trajectories.parquet", [trace("TESSY", cooperative_spans("ü – 数 ✓"))], "t", "")
    return tmp_path


@pytest.mark.parametrize("shell", [ASCII, LATIN], ids=["ASCII", "Latin-1"])
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["doctor"], {0, 1}, "sandbox works"),
        (["plan", "recipes/mini.yaml"], {0}, "synthesize-tessy"),
        (["run", "recipes/mini.yaml", "train.epochs=ümlaut"], {2}, "train.epochs"),
        (["sweep", "recipes/sweeps/nöwhere.yaml"], {2}, "No such file"),
        (["judge", "--problems", "nöwhere", "--responses", "nöwhere"], {2}, "error"),
        (["inspect", "TRACES"], {0}, "rolled back"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_say_what_they_can(
    shell: dict[str, str], arguments: list[str], status: set[int], said: str, traces: Path
) -> None:
    named = [str(traces) if argument == "TRACES" else argument for argument in arguments]
    done = run([*ENTRY, *named], ROOT, **shell)
    assert "UnicodeEncodeError" not in done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert done.returncode in status, done.stdout
    assert said in done.stdout, done.stdout


def test_present_and_missing_are_told_apart_in_ascii() -> None:
    done = run([*ENTRY, "doctor"], ROOT, **ASCII)
    assert re.search(r"^ok Python", done.stdout, re.MULTILINE), done.stdout
    assert "?" not in done.stdout


def test_quotes_mark_the_teacher_in_ascii(traces: Path) -> None:
    done = run([*ENTRY, "inspect", str(traces)], ROOT, **ASCII)
    assert "<<" in done.stdout


# The Makefile


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` needs of this checkout, set up as far as it can tell; its path has a space in it."""
    place = tmp_path / "my checkout"
    shutil.copytree(ROOT / "recipes", place / "recipes")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, place)
    (place / ".venv" / "bin").mkdir(parents=True)
    launcher = place / ".venv" / "bin" / "python"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    (place / marker(place)).touch()
    return place


def marker(place: Path) -> str:
    rules = run(["make", "-pn", "help"], place).stdout
    (found,) = re.findall(r"^READY := (.*)$", rules, re.MULTILINE)
    return str(found)


def test_make_passes_on_names_with_spaces(checkout: Path) -> None:
    shutil.copy(checkout / "recipes" / "smoke.yaml", checkout / "my recipe.yaml")
    asked = ["make", "reproduce", "RECIPE=my recipe.yaml", "RUNS=my runs", "SET=problems.source=gone.jsonl"]
    done = run(asked, checkout)
    assert "problems.source 'gone.jsonl': no such file" in done.stdout
    done = run(["make", "-n", "sweep", "RUNS=my runs", "SWEEP=my sweep.yaml"], checkout)
    assert 'sweep "my sweep.yaml" --runs-dir "my runs"' in done.stdout


def test_a_checkout_with_a_space_in_its_path_has_all_its_targets(checkout: Path) -> None:
    assert "sandbox works" in run(["make", "doctor"], checkout).stdout
    for target in ("reproduce", "smoke", "sweep", "test", "check", "format"):
        planned = run(["make", "-n", target], checkout)
        assert planned.returncode == 0, planned.stdout
        assert "pip install" not in planned.stdout


def test_a_checkout_that_was_moved_is_installed_again(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert re.search(r"pip install .* -e ", run(["make", "-n", "doctor"], moved).stdout)
    assert "bin/pip" not in run(["make", "-n", "doctor"], moved).stdout


# Temporary folders, homes, users


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder where everyone may read and write; pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        yield Path(place)


@pytest.fixture
def judging(open_folder: Path) -> list[str]:
    """Arguments of a judgement that compiles a checker and a program, and runs both."""
    code = (
        '#include <cstdio>\nint main() { long long a, b; scanf("%lld %lld", &a, &b); printf("%lld", a + b); }'
    )
    row = {"problem_id": "sum", "language": "cpp", "code": code}
    (responses := open_folder / "responses.jsonl").write_text(json.dumps(row))
    folder = _write_lightcp(open_folder / "problems")
    return ["judge", "--format", "lightcp", "--problems", str(folder), "--responses", str(responses), "--out"]


@pytest.mark.sandbox
@pytest.mark.parametrize("home", [None, "/"], ids=["no home", "a home that cannot be written"])
def test_the_judge_works_for_any_user(home: str | None, judging: list[str], open_folder: Path) -> None:
    """A container's user may have none that the system knows of."""
    done = as_ordinary_user([*judging, "verdicts.jsonl"], open_folder, home)
    assert "1 judged" in done.stdout, done.stdout
    assert ": AC 1 " in done.stdout, (open_folder / "verdicts.jsonl").read_text()
    assert {path.name for path in open_folder.iterdir()} == {"problems", "responses.jsonl", "verdicts.jsonl"}


@pytest.mark.sandbox
def test_the_judge_works_with_temporary_files_on_another_disk_without_exec(
    judging: list[str], open_folder: Path
) -> None:
    command = on_another_disk(open_folder, [*ENTRY, *judging, "verdicts.jsonl"])
    done = run(command, open_folder, XDG_CACHE_HOME=str(open_folder / "empty"))
    assert ": AC 1 " in done.stdout, (open_folder / "verdicts.jsonl").read_text()


TINY = {
    "models.student.pretraining.documents": "400",
    "models.teacher.pretraining.documents": "400",
    "world.train_problems": "8",
    "world.eval_problems": "2",
    "world.ood_problems": "2",
    "synthesis.methods": "[tessy]",
    "synthesis.max_tokens": "120",
    "evaluate.max_tokens": "60",
    "predictors.problems": "8",
    "predictors.segments": "40",
    "predictors.comparison.problems": "2",
    "execution.workers": "2",
    "execution.train.processes": "2",
}


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.timeout(1200)
def test_a_run_comes_to_its_end_in_all_of_them_at_once(folder: Path, open_folder: Path) -> None:
    """No root, no home, no exec, no UTF-8, no short path, our modules' names in the current folder; besides,
    helpers that join a stage, and training in two processes."""
    (open_folder / "recipe.yaml").write_text((ROOT / "recipes" / "smoke.yaml").read_text(encoding="utf-8"))
    shutil.copytree(folder, open_folder / folder.name)
    here = open_folder / folder.name
    here.chmod(0o777)
    changes = [f"{field}={value}" for field, value in TINY.items()]
    arguments = ["run", str(open_folder / "recipe.yaml"), *changes, "--runs-dir", "my runs"]
    done = as_ordinary_user(arguments, here, None, 1200, apart=True, **ASCII)
    assert done.returncode == 0, done.stdout
    assert (here / "my runs" / "smoke" / "report" / "index.html").is_file()
    assert {path.name for path in here.iterdir()} == {name.partition("/")[0] for name in SHADOWS} | {
        "my runs"
    }


def on_another_disk(folder: Path, command: Sequence[str]) -> list[str]:
    """`command` with a TMPDIR of a very long name on a file system of its own, mounted without exec."""
    place = folder / "disk"
    place.mkdir()
    assert len(f"{place}/{LONG}") > 108
    script = (
        'place="$1" && shift && mount -t tmpfs -o noexec,mode=1777 tmpfs "$place" && '
        f'export TMPDIR="$place/{LONG}" && mkdir -m 1777 "$TMPDIR" && exec "$@"'
    )
    apart = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    return [*apart, "sh", "-c", script, "sh", str(place), *command]


def as_ordinary_user(
    arguments: Sequence[str],
    where: Path,
    home: str | None,
    timeout_s: float = 120,
    *,
    apart: bool = False,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run `tessy` as a user who owns nothing and is unknown here; `apart` as `on_another_disk`."""
    python, path = readable_python()
    told = ["-u", "HOME"] if home is None else [f"HOME={home}"]
    command = ["env", *told, f"PYTHONPATH={path}"]
    command += [python, "-P", "-m", "tessy.cli", *arguments]
    if os.getuid() == 0:
        command = [*SETPRIV, *command]
    if apart:
        command = on_another_disk(where.parent, command)
    return run(command, where, timeout_s, **environment)


STRANGER = 54321
SETPRIV = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "--")


def readable_python() -> tuple[str, str]:
    """An interpreter with our libraries for any user, and its PYTHONPATH: a virtual environment's interpreter
    may lie in somebody's home."""
    path = f"{ROOT}{os.pathsep}{sysconfig.get_path('purelib')}"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        script = f"{shlex.quote(python)} -P -c 'import tessy.cli'"
        command = [*(SETPRIV if os.getuid() == 0 else ()), "sh", "-c", script]
        if (
            subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True).returncode
            == 0
        ):
            return python, path
    pytest.skip(f"no {version} that other users may run is installed")
