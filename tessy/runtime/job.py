"""The process that runs one stage, and the `Job` that the stage's code receives.

`python -m tessy.runtime.job FOLDER` runs the stage described by `FOLDER/job.json`, where FOLDER is
its `.partial` artifact; with `--join` it helps a process that already does. A run starts its stages by fork
(`tessy.runtime.fork_server`). Progress goes to the run as JSON lines through the file descriptor named in
`TESSY_PROGRESS_FD`; everything else that a stage prints goes to its log.

Exit status: 0 if the artifact is finished, 2 for unusable input (the last progress line has the message),
otherwise a fault.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol

from pydantic import Field

from tessy.artifacts import finish, read_json, write_json
from tessy.boundary.operating_point import OperatingPoint
from tessy.config.base import Section
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.engines.shared import make_room
from tessy.errors import UserError
from tessy.hub import commit_of, is_commit, recorded_as
from tessy.machine import environment, machine
from tessy.processes import die_with_parent
from tessy.records import Role
from tessy.runtime.stage import C_co, Kind, StageConfig, found_at, function_at
from tessy.tracking import Tracker

PROGRESS_FD = "TESSY_PROGRESS_FD"
JOB = "job.json"
WORK = "work"
"""Folder inside a `.partial` artifact for what only a resumed run needs; dropped when it finishes."""
COMMITS = "commits.json"
DEVICE = "device.json"
WANDB_RUN = "wandb_run"


class Report(Protocol):
    """Reports a stage's progress to the run."""

    def __call__(self, message: Mapping[str, Any], /) -> None: ...


class Metrics(Protocol):
    """Receives a stage's metrics."""

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None: ...

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None: ...


class Source(NamedTuple):
    """A model's location: a local folder, or a hub id with its commit."""

    name: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class Stopping:
    """Whether a trained checkpoint stopped by itself: of `prompts` answers of up to `max_new_tokens` each,
    `stopped` ended with an end token, which is the `share`. `within` of them were continued from inside a
    training trace; for `as_trained` the chat template wrote the very prompt that was trained on. `tokens` are
    their lengths."""

    prompts: int
    stopped: int
    share: float
    within: int
    as_trained: int
    max_new_tokens: int
    tokens: tuple[int, ...]


@dataclass(slots=True)
class Used:
    """What a stage actually used, for its manifest."""

    json_schema: dict[str, bool] = field(default_factory=dict)
    """By question asked, whether answers were held to a JSON schema."""
    formats: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the stage's name for a model, the chat format that `auto` found."""
    predictors: dict[str, dict[Role, OperatingPoint]] = field(default_factory=dict)
    """By switch and role, how a trained predictor was used."""
    stopping: dict[str, Stopping] = field(default_factory=dict)
    """By engine, whether the trained checkpoint stopped by itself."""


@dataclass(frozen=True)
class Job(Generic[C_co]):
    """A running stage: its `config`, its input folders by name, and its output folder `out`."""

    name: str
    kind: str
    config: C_co
    inputs: Mapping[str, Path]
    out: Path
    execution: Execution
    tracker: Metrics
    report: Report
    joinable: bool = False
    """Whether further processes may `join` this job."""
    used: Used = field(default_factory=Used)

    @property
    def work(self) -> Path:
        """The folder for journals and checkpoints, kept until the stage is finished."""
        folder = self.out / WORK
        folder.mkdir(exist_ok=True)
        return folder

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Report progress, with an optional note; may be called at any rate."""
        self.report({"done": done, "total": total, "unit": unit, "note": note})

    def say(self, text: str) -> None:
        """Report a line of text to the run."""
        self.report({"say": text})

    def model(self, reference: ModelReference, name: str = "model") -> Source:
        """A model: the input of that name if there is one, otherwise what the recipe names."""
        folder = self.inputs.get(name)
        if folder is None:
            return self.pinned(reference.source, reference.revision)
        return Source(reference.within(folder), None)

    def pinned(self, source: str, revision: str | None) -> Source:
        """A model the recipe names, with its commit if it is on the hub. The commit stays the same until this
        stage is finished, even if a newer one is published."""
        if Path(source).is_dir() or is_commit(revision):
            return Source(source, commit_of(source, revision))
        key = recorded_as(source, revision)
        with (self.work / f"{COMMITS}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes may work on one stage
            known = self.commits
            if key not in known:
                known[key] = str(commit_of(source, revision))
                write_json(self.work / COMMITS, known)
        return Source(source, known[key])

    def record_commit(self, source: str, revision: str | None, commit: str | None) -> None:
        """Record at which commit a hub data set was read; nothing for a local one."""
        if commit is not None:
            write_json(self.work / COMMITS, {**self.commits, recorded_as(source, revision): commit})

    @property
    def commits(self) -> dict[str, str]:
        """Commits of the hub models and data sets read so far, by `SOURCE@REVISION`."""
        path = self.out / WORK / COMMITS
        found: dict[str, str] = read_json(path) if path.exists() else {}
        return found


class _Reporter:
    """Sends progress lines, at most twenty a second, and always the last one."""

    def __init__(self) -> None:
        self._fd = int(os.environ.get(PROGRESS_FD, "-1"))
        self._last = 0.0

    def __call__(self, message: Mapping[str, Any]) -> None:
        if self._fd < 0:
            return
        final = message.get("done") == message.get("total")
        if "done" in message and not final and time.monotonic() - self._last < 0.05:
            return
        self._last = time.monotonic()
        os.write(self._fd, (json.dumps(message) + "\n").encode())


class Spec(Section):
    """The content of `job.json`."""

    recipe: str
    name: str
    kind: str
    """Where its kind is declared: `module:name`."""
    fingerprint: str
    config: dict[str, Any]
    content: dict[str, str | None] = Field(default_factory=dict)
    inputs: dict[str, str]
    execution: Execution
    seconds_before: float = 0.0


def read_spec(folder: Path) -> Spec:
    """The spec of the unfinished stage in `folder`; raises `FileNotFoundError` where there is none."""
    return Spec.model_validate(read_json(folder / JOB))


def open_job(
    folder: Path, spec: Spec, tracker: Metrics, report: Report, *, joinable: bool = False
) -> Job[Any]:
    """The job that `folder/job.json` describes, reporting to `tracker` and `report`."""
    kind: Kind[StageConfig] = found_at(spec.kind)
    inputs = {key: folder.parent / name for key, name in spec.inputs.items()}
    config = kind.config.model_validate(spec.config)
    return Job(spec.name, kind.name, config, inputs, folder, spec.execution, tracker, report, joinable)


def run(folder: Path) -> None:
    """Run the stage in `folder` and finish its artifact."""
    spec, started = read_spec(folder), time.time()
    kind: Kind[StageConfig] = found_at(spec.kind)
    tracker = _tracker(folder, spec, spec.execution.tracking.wandb)
    job = open_job(folder, spec, tracker, _Reporter(), joinable=bool(kind.join))
    if kind.on_device:
        require_same_device(job.work, "GPU" if machine().gpus else "CPU")
        if not any(job.config.servers(job.execution, job.inputs)):
            make_room(folder.parent)
    function_at(kind.run)(job)
    spent = spec.seconds_before + time.time() - started
    manifest = {
        "stage": spec.name,
        "kind": kind.name,
        "fingerprint": spec.fingerprint,
        "revision": kind.revision,
        "config": spec.config,
        "content": spec.content,
        "inputs": spec.inputs,
        "execution": spec.execution.plain,
        "commits": job.commits,
        "used": asdict(job.used),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(spent, 1),
        "environment": environment(),
    }
    final = seal(folder, manifest)
    tracker.artifact(final, spec.name, "model" if (final / "model").exists() else "dataset", manifest)
    tracker.close()
    if tracker.lost:
        job.report({"lost": tracker.lost})


def require_same_device(work: Path, here: str) -> None:
    """Raise `UserError` where a stage was started on another kind of device: training uses another dtype
    there, and the result would mix both."""
    begun = work / DEVICE
    if not begun.exists():
        write_json(begun, here)
    elif (there := read_json(begun)) != here:
        raise UserError(
            f"this stage was begun on a machine with a {there}, and here it would go on with a {here}; go on "
            f"there, or delete {work.parent} to begin anew"
        )


def join(folder: Path) -> None:
    """Help with the unfinished stage in `folder`, which another process runs and will finish."""
    try:
        spec = read_spec(folder)
    except FileNotFoundError:
        raise UserError(f"{folder}: no stage is under way here; name the .partial folder of one") from None
    kind: Kind[StageConfig] = found_at(spec.kind)
    if not kind.join:
        raise UserError(f"{folder}: a stage of kind {kind.name} is the work of one process")
    tracker = _tracker(folder, spec, "disabled", joined=f"{platform.node()}/{os.getpid()}")
    try:
        function_at(kind.join)(open_job(folder, spec, tracker, _Reporter()))
    except FileNotFoundError:
        # The stage has been finished in the meantime: nothing is left to do.
        if (folder / JOB).exists():
            raise


def _tracker(folder: Path, spec: Spec, wandb: str, joined: str = "") -> Tracker:
    return Tracker(
        folder,
        mode=wandb,
        project=spec.execution.tracking.project,
        group=spec.recipe,
        name=spec.name,
        kind=found_at(spec.kind).name,
        config=spec.config,
        mirror=folder.parent / "wandb",
        upload=spec.execution.tracking.upload,
        identity=None if joined else folder / WORK / WANDB_RUN,
        joined=joined,
    )


def seal(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Remove what only an unfinished stage needs and finish the artifact."""
    import shutil

    shutil.rmtree(folder / WORK, ignore_errors=True)
    (folder / JOB).unlink(missing_ok=True)
    return finish(folder, manifest)


def end_in_order() -> None:
    """Turn SIGTERM into an exception, so that a stage stops what it started before it ends."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def main() -> None:
    die_with_parent()
    end_in_order()
    *flag, folder = sys.argv[1:]
    try:
        join(Path(folder)) if flag == ["--join"] else run(Path(folder))
    except UserError as error:
        _Reporter()({"error": str(error)})
        sys.exit(2)


if __name__ == "__main__":
    main()
