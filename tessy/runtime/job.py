"""The process that runs one stage, and the `Job` that the stage's code receives.

`python -m tessy.runtime.job FOLDER` runs the stage described by `FOLDER/job.json`, where FOLDER is
its `.partial` artifact; with `--join` it helps a process that already does. A run starts its stages by fork
(`tessy.runtime.fork_server`). Progress goes to the run as JSON lines through the file descriptor named in
`TESSY_PROGRESS_FD`; everything else that a stage prints goes to its log.

Exit status: 0 if the artifact is finished, 2 for unusable input (the last progress line has the message),
otherwise a fault.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol
from urllib.parse import quote, unquote

from pydantic import Field

from tessy.artifacts import fingerprint, finish, read_json, write_json, write_text
from tessy.boundary.operating_point import OperatingPoint
from tessy.claims import Claims
from tessy.claims.files import FileClaims, first_wins
from tessy.cluster import WORKERS, Work, Workers
from tessy.cluster.choosing import claims_of, executor_of
from tessy.config.base import Section
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.engines.shared import make_room
from tessy.errors import UserError
from tessy.hub import commit_of, is_commit, recorded_as
from tessy.machine import environment, machine, merged
from tessy.processes import die_with_parent, end_in_order, python_module
from tessy.records import Role
from tessy.runtime.stage import C_co, Kind, StageConfig, found_at, function_at
from tessy.tracking import Tracker

PROGRESS_FD = "TESSY_PROGRESS_FD"
JOB = "job.json"
WORK = "work"
"""Folder inside a `.partial` artifact for what only a resumed run needs; dropped when it finishes."""
COMMITS = "commits"
"""Folder inside it with a file per hub repository, named after it, that holds its commit."""
DEVICE = "device"
ENVIRONMENTS = "environments"
"""Folder inside it with what computed the stage, a file for every kind of machine."""
WANDB_RUN = "wandb_run"
FIXED = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "PYTHONHASHSEED",
)
"""Variables of a stage that its workers have, too, wherever they run: sums depend on them."""


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
    shared: Path | None = None
    """The folder of the stage that this job helps with; `out` is then thrown away."""
    joinable: bool = False
    """Whether several processes may work on this stage."""
    workers: Workers | None = None
    """The processes that help, once they have been started."""
    works: bool = True
    """Whether this process does any of the work that is shared, or waits for the workers to do it."""
    used: Used = field(default_factory=Used)

    @property
    def work(self) -> Path:
        """The folder for journals and checkpoints, kept until the stage is finished."""
        folder = (self.shared or self.out) / WORK
        folder.mkdir(exist_ok=True)
        return folder

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Report progress, with an optional note; may be called at any rate."""
        self.report({"done": done, "total": total, "unit": unit, "note": note})

    def claims(self, folder: Path) -> Claims:
        """The claims of what is shared in `folder`, as a new owner sees them."""
        return claims_of(self.execution.cluster, folder) if self.joinable else FileClaims(folder)

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
        if key not in (known := self.commits):
            # Several processes may work on one stage: the first to ask decides for all of them.
            known[key] = first_wins(self._commit_file(key), str(commit_of(source, revision)))
        return Source(source, known[key])

    def _commit_file(self, key: str) -> Path:
        (folder := self.work / COMMITS).mkdir(exist_ok=True)
        return folder / quote(key, safe="")

    def record_commit(self, source: str, revision: str | None, commit: str | None) -> None:
        """Record at which commit a hub data set was read; nothing for a local one."""
        if commit is not None:
            write_text(self._commit_file(recorded_as(source, revision)), commit)

    @property
    def commits(self) -> dict[str, str]:
        """Commits of the hub models and data sets read so far, by `SOURCE@REVISION`."""
        folder = (self.shared or self.out) / WORK / COMMITS
        return {unquote(path.name): path.read_text(encoding="utf-8") for path in sorted(folder.glob("*"))}


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


def open_job(folder: Path, spec: Spec, tracker: Metrics, report: Report) -> Job[Any]:
    """The job that `folder/job.json` describes, reporting to `tracker` and `report`."""
    kind: Kind[StageConfig] = found_at(spec.kind)
    inputs = {key: folder.parent / name for key, name in spec.inputs.items()}
    config, shared = kind.config.model_validate(spec.config), bool(kind.join)
    return Job(spec.name, kind.name, config, inputs, folder, spec.execution, tracker, report, joinable=shared)


def run(folder: Path) -> None:
    """Run the stage in `folder` and finish its artifact."""
    spec, started = read_spec(folder), time.time()
    kind: Kind[StageConfig] = found_at(spec.kind)
    tracker = _tracker(folder, spec, spec.execution.tracking.wandb)
    job = open_job(folder, spec, tracker, _Reporter())
    if kind.on_device and not any(job.config.servers(job.execution, job.inputs)):
        make_room(folder.parent)
    with with_workers(job) as helped:
        if helped.works:
            work_here(helped, kind)
        function_at(kind.run)(helped)
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
        "environment": merged(map(read_json, sorted((job.work / ENVIRONMENTS).iterdir()))),
    }
    final = seal(folder, manifest)
    tracker.artifact(final, spec.name, "model" if (final / "model").exists() else "dataset", manifest)
    tracker.close()
    if tracker.lost:
        job.report({"lost": tracker.lost})


@contextmanager
def with_workers(job: Job[Any]) -> Iterator[Job[Any]]:
    """The job with the workers that its recipe asks for, where the stage can be shared."""
    executor = executor_of(job.execution.cluster)
    count = job.execution.workers - executor.here
    if not job.joinable or count < 1:
        yield job
        return
    work = Work(
        job.name,
        python_module("tessy.runtime.job", "--join", str(job.out.absolute())),
        (job.work / WORKERS).absolute(),
        count,
        job.config.resources(job.execution),
        {name: os.environ[name] for name in FIXED if name in os.environ},
    )
    with executor.start(work) as workers:
        yield replace(job, workers=workers, works=executor.here)


def work_here(job: Job[Any], kind: Kind[StageConfig]) -> None:
    """Note that this process works on the stage, and on what machine; raises `UserError` where it is one that
    must not."""
    if kind.on_device:
        require_same_device(job.work, "GPU" if machine().gpus else "CPU")
    (folder := job.work / ENVIRONMENTS).mkdir(exist_ok=True)
    here = environment()
    write_json(folder / f"{fingerprint(here)}.json", here)


def require_same_device(work: Path, here: str) -> None:
    """Raise `UserError` where a stage was started on another kind of device: training uses another dtype
    there, and the result would mix both."""
    if (there := first_wins(work / DEVICE, here)) != here:
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
        with tempfile.TemporaryDirectory() as scratch:
            job = replace(open_job(folder, spec, tracker, _Reporter()), out=Path(scratch), shared=folder)
            work_here(job, kind)
            function_at(kind.join)(job)
    except (FileNotFoundError, KeyError):
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
