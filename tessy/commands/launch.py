"""`tessy launch`: runs a recipe on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tessy.artifacts import read_json, write_json, write_text
from tessy.commands.run import INTERRUPTED
from tessy.config.launch import TARGETS, Target
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.estimate import require_fit
from tessy.experiment import plan
from tessy.launch.following import follow
from tessy.launch.rendering import FILES, Head, remarks, render, safe_name
from tessy.launch.submitting import ACTIVE, Cluster, cluster_of
from tessy.records import ROLES
from tessy.runtime.plan import Plan
from tessy.runtime.preflight import DISK_NEEDED, folder_faults
from tessy.runtime.reuse import decide
from tessy.stages.checks import (
    engine_faults,
    predictor_engine_faults,
    sandbox_faults,
    training_package_faults,
)

JOB = "job.json"
"""In the launch's folder: target, name and id of the job that was submitted last; no id as long as it is not
known whether it was."""


@click.command(
    "launch",
    epilog="""\b
Examples:
  tessy launch recipes/mini.yaml --on slurm --dry-run
  tessy launch recipes/mini.yaml execution.cluster.kind=slurm execution.workers=16 --on slurm
  tessy launch recipes/mini.yaml 'execution.cluster={kind: ray, address: "node0:6379"}' --on ray --detach
  tessy launch recipes/one-gpu/lora-80gb.yaml execution.launch.accelerator=H100 --on sky
  tessy launch recipes/mini.yaml execution.launch.image=IMAGE execution.launch.volume=CLAIM --on k8s
""",
)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[SECTION.KEY=VALUE]...")
@click.option("--on", "target", type=click.Choice(TARGETS), required=True, help="Where it runs.")
@click.option("--dry-run", is_flag=True, help="Print what would be submitted, and nothing more.")
@click.option("--detach", is_flag=True, help="Do not follow the job.")
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where results go (Slurm, Ray: a folder that all machines share), and what was submitted.",
)
@click.option("--name", help="What the job's name begins with; the recipe's name, if not said.")
def launch_command(
    recipe: Path,
    overrides: tuple[str, ...],
    target: Target,
    dry_run: bool,
    detach: bool,
    runs_dir: Path,
    name: str | None,
) -> None:
    """Run RECIPE on a cluster: check it, submit it as one job, follow that job.

    The job is `tessy run`; execution.cluster says where its workers are started, execution.launch what else
    the cluster is asked for. Ctrl-C stops following, and the job goes on; the same command follows it again.
    After a failure the same command submits again, and the run goes on from its artifacts.
    """
    head = _head(recipe, overrides, target, runs_dir, name)
    text = render(target, head)
    for said in remarks(target, head):
        click.echo(f"note: {said}", err=True)
    if dry_run:
        click.echo(text, nl=False)
        return
    sys.exit(_launch(target, head, text, detach))


def _head(recipe: Path, overrides: Sequence[str], target: Target, runs_dir: Path, name: str | None) -> Head:
    """The head job of a recipe that was planned and checked; raises `UserError` for what cannot work."""
    planned = plan(load(recipe, overrides))
    require_fit(planned.recipe)
    _check(planned, target, runs_dir)
    if target == "sky":
        _require_copied(recipe)
    return Head(
        planned.recipe,
        str(recipe),
        overrides,
        safe_name(name or planned.recipe.name),
        str(runs_dir.absolute()),
        str(Path.cwd()),
        sys.executable,
        any("judging" in stage.kind.needs for stage in planned.stages),
    )


def _require_copied(recipe: Path) -> None:
    """Raise `UserError` where SkyPilot would copy a folder without this project or without the recipe."""
    if not Path("Makefile").is_file():
        raise UserError(
            "sky copies the current folder and runs `make setup` in it; launch from this project's"
        )
    if recipe.is_absolute() or ".." in recipe.parts:
        raise UserError(f"recipe {recipe}: sky copies the current folder; give a relative path inside it")


def _check(planned: Plan[Recipe], target: Target, runs_dir: Path) -> None:
    """Raise `UserError` for missing or unusable files, where the cluster reads the same ones; say what else
    this machine lacks, which the job's may have."""
    recipe, execution = planned.recipe, planned.recipe.execution
    todo = [one.stage for one in decide(planned, runs_dir / recipe.name) if one.action != "reuse"]
    found = dict.fromkeys(fault for stage in todo for fault in stage.config.faults(execution))
    elsewhere = target == "k8s" or execution.launch.directory is not None
    tolerated = set(found) if elsewhere else set(_machine_faults(recipe))
    for fault in found:
        if fault in tolerated:
            click.echo(f"note: on this machine, and checked again by the job: {fault}", err=True)
    if faults := [fault for fault in found if fault not in tolerated]:
        raise UserError("\n       ".join(faults))


def _machine_faults(recipe: Recipe) -> list[str]:
    """What is said of a machine, not of files: isolation, vLLM, packages for GPUs, keys, devices."""
    return [
        *sandbox_faults(),
        *engine_faults(recipe.execution, ROLES),
        *predictor_engine_faults(recipe.execution, ROLES),
        *training_package_faults(recipe.execution, recipe.train),
    ]


def _launch(target: Target, head: Head, text: str, detach: bool) -> int:
    """Submit, or find the job that runs already, and follow it; returns the exit status."""
    folder = Path(head.folder)
    file = folder / FILES[target]
    # Kubernetes and SkyPilot have the results elsewhere.
    needed = DISK_NEEDED if target in ("slurm", "ray") else 0
    if faults := list(folder_faults(folder, needed)):
        raise UserError("\n       ".join(faults))
    cluster = cluster_of(target, head.job_name, folder)
    job = _running(folder, target, text)
    if job is None:
        write_text(file, text)
        note = {"on": target, "job": None, "name": head.job_name}
        write_json(folder / JOB, note)
        job = cluster.submit(file)
        write_json(folder / JOB, note | {"job": job})
        click.echo(f"submitted {file} as job {job}")
    else:
        click.echo(f"job {job} is running already")
    if detach:
        click.echo(f"The same command without --detach follows it; to cancel it: {cluster.cancel(job)}")
        return 0
    return _followed(cluster, job)


def _running(folder: Path, target: Target, text: str) -> str | None:
    """The id of the job that this launch would repeat, if one is waiting or running; raises `UserError` where
    that is another one, since two jobs cannot work in one run folder."""
    try:
        last: dict[str, Any] = read_json(folder / JOB)
    except FileNotFoundError:
        return None
    job, there = last["job"], last["on"]
    other = cluster_of(there, last["name"], folder)
    try:
        if job is None and (job := other.find()):
            write_json(folder / JOB, last | {"job": job})
        state = other.state(job) if job else "gone"
    except UserError as error:
        raise UserError(
            f"whether job {job or last['name']} on {there} is still at work cannot be asked; if it cannot "
            f"be, delete {folder / JOB}: {error}"
        ) from None
    if job is None or state not in ACTIVE:
        return None
    if there == target and (folder / FILES[target]).read_text(encoding="utf-8") == text:
        return job
    raise UserError(
        f"{folder.parent}: job {job} on {there} works here, and was launched otherwise; wait for it, "
        f"cancel it ({other.cancel(job)}), or choose another --runs-dir"
    )


def _followed(cluster: Cluster, job: str) -> int:
    try:
        state = follow(cluster, job, click.echo)
    except KeyboardInterrupt:
        click.echo(
            f"\nDetached: job {job} goes on. The same command follows it again; to cancel it: ", nl=False
        )
        click.echo(cluster.cancel(job))
        return INTERRUPTED
    if state == "succeeded":
        click.echo(f"job {job}: finished")
        return 0
    how = "failed" if state == "failed" else "is gone (cancelled, out of time, or its machine was lost)"
    click.echo(f"job {job} {how}. The same command submits it again and goes on from what is finished.")
    return 1
