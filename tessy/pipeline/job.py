"""One stage from the inside: the process that runs it, and what it is given.

`python -m tessy.pipeline.job FOLDER` runs the stage described by `FOLDER/job.json`, where FOLDER is
its `.partial` artifact; with `--join` it helps the process that does. A run starts its stages by fork
(`tessy.pipeline.nursery`). Progress goes to the run as JSON lines through the descriptor named in
`TESSY_PROGRESS_FD`; everything else a stage prints goes to its log.

Exit status: 0 the artifact is finished, 2 unusable input (the message is the last progress line), else
a fault.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.artifacts import finish, read_json, write_json
from tessy.errors import UserError
from tessy.hub import commit_of, is_commit, recorded_as
from tessy.tracking import Tracker

PROGRESS_FD = "TESSY_PROGRESS_FD"
PARENT = "TESSY_PARENT"
JOB = "job.json"
WORK = "work"
"""Folder inside a `.partial` artifact for what only a resumed run needs; dropped when it finishes."""
COMMITS = "commits.json"
WANDB_RUN = "wandb_run"


@dataclass(frozen=True)
class Job:
    """A stage at work: its `config`, input folders by name, and the folder `out` it fills."""

    name: str
    kind: str
    config: dict[str, Any]
    inputs: dict[str, Path]
    out: Path
    execution: dict[str, Any]
    tracker: Tracker
    report: Any
    joinable: bool = False
    """Whether further processes may `join` this job."""
    used: dict[str, Any] = field(default_factory=dict)
    """What the stage turned out to use, for the manifest: how predictors, and whether answers were held to a
    JSON schema."""

    @property
    def work(self) -> Path:
        """Journals and checkpoints: kept while the stage is unfinished."""
        folder = self.out / WORK
        folder.mkdir(exist_ok=True)
        return folder

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Tell how far this stage is, and what else there is to know; called as often as wanted."""
        self.report({"done": done, "total": total, "unit": unit, "note": note})

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        self.report({"say": text})

    def reference(self, name: str) -> dict[str, Any]:
        """What the recipe says of a model: source, revision and chat format, and where it applies the
        `folder` inside its artifact and the `system` prompt it is used with."""
        reference: dict[str, Any] = (
            self.config["models"][name] if "models" in self.config else self.config["model"]
        )
        return reference

    def model(self, name: str = "model") -> tuple[str, str | None]:
        """Source and revision of a model: the input of that name, or what the recipe names instead."""
        reference, folder = self.reference(name), self.inputs.get(name)
        if folder is None:
            return self.pinned(reference["source"], reference["revision"])
        return str(folder / reference.get("folder", "") / "model"), None

    def pinned(self, source: str, revision: str | None) -> tuple[str, str | None]:
        """A model the recipe names, with the commit it is at if it is on the hub: the same one for as long as
        this stage is unfinished, whatever is published meanwhile."""
        if Path(source).is_dir() or is_commit(revision):
            return source, commit_of(source, revision)
        key = recorded_as(source, revision)
        with (self.work / f"{COMMITS}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes may be at work in one stage
            known = self.commits
            if key not in known:
                known[key] = str(commit_of(source, revision))
                write_json(self.work / COMMITS, known)
        return source, known[key]

    @property
    def commits(self) -> dict[str, str]:
        """Commits of the hub's models that were read so far, by `SOURCE@REVISION`."""
        path = self.out / WORK / COMMITS
        found: dict[str, str] = read_json(path) if path.exists() else {}
        return found


class _Reporter:
    """Sends progress lines, at most twenty a second, the last one always."""

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


def open_job(folder: Path, spec: Mapping[str, Any], tracker: Any, report: Any) -> Job:
    """The stage that `folder` and its `job.json` describe, reporting to `tracker` and `report`."""
    inputs = {key: folder.parent / name for key, name in spec["inputs"].items()}
    return Job(spec["name"], spec["kind"], spec["config"], inputs, folder, spec["execution"], tracker, report)


def run(folder: Path) -> None:
    """Run the stage in `folder` and seal its artifact."""
    spec = read_json(folder / JOB)
    started = time.time()
    module, function = spec["entry"].split(":")
    stage = importlib.import_module(module)
    job = _job(folder, spec, spec["execution"]["tracking"]["wandb"], joinable=hasattr(stage, "join"))
    getattr(stage, function)(job)
    spent = spec["seconds_before"] + time.time() - started
    manifest = {
        "stage": spec["name"],
        "kind": spec["kind"],
        "fingerprint": spec["fingerprint"],
        "revision": spec["revision"],
        "config": spec["config"],
        "inputs": spec["inputs"],
        "commits": job.commits,
        "used": job.used,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(spent, 1),
        "environment": environment(),
    }
    final = seal(folder, manifest)
    job.tracker.artifact(final, spec["name"], "model" if (final / "model").exists() else "dataset", manifest)
    job.tracker.close()
    if job.tracker.lost:
        job.report({"lost": job.tracker.lost})


def join(folder: Path) -> None:
    """Help with the unfinished stage in `folder`, which another process runs and will seal."""
    try:
        spec = read_json(folder / JOB)
    except FileNotFoundError:
        raise UserError(f"{folder}: no stage is under way here; name the .partial folder of one") from None
    stage = importlib.import_module(spec["entry"].split(":")[0])
    if not hasattr(stage, "join"):
        raise UserError(f"{folder}: a stage of kind {spec['kind']} is the work of one process")
    try:
        stage.join(_job(folder, spec, "disabled", joined=f"{platform.node()}/{os.getpid()}"))
    except FileNotFoundError:
        # Where the stage has been finished meanwhile, there is nothing left to help with.
        if (folder / JOB).exists():
            raise


def _job(
    folder: Path, spec: Mapping[str, Any], wandb: str, *, joinable: bool = False, joined: str = ""
) -> Job:
    tracker = Tracker(
        folder,
        mode=wandb,
        project=spec["execution"]["tracking"]["project"],
        group=spec["recipe"],
        name=spec["name"],
        kind=spec["kind"],
        config=spec["config"],
        mirror=folder.parent / "wandb",
        upload=spec["execution"]["tracking"]["upload"],
        identity=None if joined else folder / WORK / WANDB_RUN,
        joined=joined,
    )
    inputs = {key: folder.parent / name for key, name in spec["inputs"].items()}
    execution = spec["execution"]
    return Job(
        spec["name"], spec["kind"], spec["config"], inputs, folder, execution, tracker, _Reporter(), joinable
    )


def seal(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Drop what only an unfinished stage needs and finish the artifact."""
    import shutil

    shutil.rmtree(folder / WORK, ignore_errors=True)
    (folder / JOB).unlink(missing_ok=True)
    return finish(folder, manifest)


def environment() -> dict[str, str]:
    """Versions that a result may depend on."""
    from importlib.metadata import PackageNotFoundError, version

    out = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("torch", "transformers", "trl", "peft", "deepspeed", "datasets", "lm-eval", "tessy"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            continue
    return out


def with_parent() -> dict[str, str]:
    """An environment for a process that will `die_with_parent`, which is this one."""
    return {**os.environ, PARENT: str(os.getpid())}


def die_with_parent() -> None:
    """A stage never outlives the run that started it, however that ended; not even where the run ended before
    this could be said to the kernel, if the environment tells who it was (`with_parent`)."""
    import ctypes

    parent = int(os.environ.pop(PARENT, os.getppid()))
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def end_in_order() -> None:
    """SIGTERM ends this stage as an exception does, so that what it started is stopped before it is gone."""
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
