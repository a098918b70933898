"""`tessy status`: what a run is doing, read from its folder; from any machine that sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tessy.artifacts import PARTIAL, manifest_of, read_json
from tessy.claims import LEASE_S
from tessy.claims.life import states
from tessy.errors import UserError
from tessy.runtime.job import JOB, WORK, read_spec
from tessy.runtime.run import CLAIMS, LOG

LAUNCHED = "launch/job.json"
"""What `tessy launch` notes in the folder of a run."""
_EXAMPLES = """\b
Examples:
  tessy status runs/mini
  watch -n 10 tessy status /shared/runs/tessy
"""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works on a stage, and what it said of itself `age_s` seconds ago."""

    name: str
    age_s: float
    state: dict[str, Any]

    @property
    def silent(self) -> bool:
        return self.age_s > LEASE_S

    def lines(self) -> Iterator[str]:
        if "rate" in self.state:
            yield f"{self.state['rate']:,.1f} {self.state['unit']}"
        for key, said in (("done", "{:,} done"), ("in_flight", "{:,} in flight"), ("faults", "{:,} faults"),
                          ("gpu_use", "GPU {:.0%}")):  # fmt: skip
            if key in self.state:
                yield said.format(self.state[key])


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the run: `made` is how many seconds it took, None while it is unfinished."""

    name: str
    folder: Path
    made: float | None
    workers: tuple[Worker, ...] = ()

    @property
    def quiet_s(self) -> float:
        """Seconds since anything was written about it."""
        return time.time() - max(path.stat().st_mtime for path in (self.folder, *self.folder.glob("*")))


def stages(run: Path) -> list[Stage]:
    """The stages in the folder of a run, in the order in which they were begun."""
    found = []
    for folder in sorted(run.glob("*-*"), key=lambda path: path.stat().st_mtime):
        if (manifest := manifest_of(folder)) is not None:
            found.append(Stage(manifest["stage"], folder, manifest["seconds"]))
        elif folder.name.endswith(PARTIAL) and (folder / JOB).exists():
            found.append(Stage(read_spec(folder).name, folder, None, tuple(_workers(folder))))
    return found


def _workers(partial: Path) -> Iterator[Worker]:
    for journal in sorted((partial / WORK).glob("*.journal")):
        yield from living(journal)


def living(folder: Path) -> Iterator[Worker]:
    """Owners of claims in `folder` that have something to say, or show no life any more."""
    for said in states(folder).values():
        worker = Worker(f"{said['host']}/{said['pid']}", said["age_s"], said["state"])
        if worker.state or worker.silent:
            yield worker


@click.command("status", epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
def status_command(run: Path) -> None:
    """Show the stages of RUN, a folder of runs, and the workers of those that are under way."""
    launched = read_json(note) if (note := run / LAUNCHED).exists() else {}
    if not run.is_dir() or not ((found := stages(run)) or launched):
        raise UserError(f"{run}: no run is here; name the folder of one: runs/<recipe name>")
    console = Console()
    makers = [said for said in states(run / CLAIMS).values() if said["age_s"] <= LEASE_S]
    for said in makers:
        seen = f"seen {said['age_s']:.0f} s ago"
        console.print(f"run by process {said['pid']} on {said['host']}, {seen}", highlight=False)
    if launched.get("job"):
        console.print(f"launched on {launched['on']} as job {launched['job']}", highlight=False)
    table = Table("stage", "state", "workers", box=None)
    for stage in found:
        table.add_row(stage.name, _state(stage, bool(makers)), _summary(stage))
    console.print(table)
    for stage in found:
        for worker in stage.workers:
            text = "no sign of life" if worker.silent else ", ".join(worker.lines())
            console.print(f"{stage.name}: {worker.name}: {text}", highlight=False, soft_wrap=True)


def _state(stage: Stage, running: bool) -> str:
    if stage.made is not None:
        return f"made in {stage.made:,.0f} s"
    log = f"see {stage.folder / LOG}"
    if not running and not any(not worker.silent for worker in stage.workers):
        return f"interrupted; {log}"
    return f"under way, last written {stage.quiet_s:,.0f} s ago"


def _summary(stage: Stage) -> str:
    alive = [worker for worker in stage.workers if not worker.silent and "rate" in worker.state]
    if not alive:
        return ""
    rate = sum(worker.state["rate"] for worker in alive)
    done = sum(worker.state.get("done", 0) for worker in alive)
    return f"{len(alive)}: {rate:,.1f} {alive[0].state['unit']}, {done:,} done by them"
