"""Metrics: `metrics.jsonl` always, W&B as its mirror.

One W&B run per stage, grouped by recipe, and the same one when the stage is resumed; what a sweep's agent
asks for is one more, of the whole recipe (`tessy.commands.run`). Without an API key runs are written
offline, for `wandb sync`; the local manifests stay the truth, so nothing ever depends on W&B answering. A
step in W&B is a line of `metrics.jsonl`: their number grows even where a resumed stage repeats steps of its
own (the metric `step`), and W&B drops steps that come again.

Not covered: which points a sweep has (`tessy.commands.sweep`, or W&B's server).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from tessy.jsonl import whole_lines

METRICS = "metrics.jsonl"
SWEEP_ID = "WANDB_SWEEP_ID"
OF_ONE_RUN = frozenset({SWEEP_ID, "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_SERVICE"})
"""Variables that tie a process to one W&B run: an agent sets them for the recipe's; stages have their own."""


class Tracker:
    """Writes metrics to `folder`; mirrors them in W&B where `mode` and the environment allow it.

    `identity` is the file that keeps which W&B run this is for as long as it is unfinished; `upload` says
    whose files are uploaded. `joined` names a process that helps with a stage in every row it writes: what it
    measures is its own. `lost` is what the mirror did not take.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: str,
        project: str,
        group: str,
        name: str,
        kind: str,
        config: Mapping[str, Any],
        mirror: Path,
        upload: str = "none",
        identity: Path | None = None,
        joined: str = "",
    ) -> None:
        self._labels = {"joined": joined} if joined else {}
        self._rows, self._stream = _appended(folder / METRICS)
        self._upload = {"none": (), "datasets": ("dataset",), "all": ("dataset", "model")}[upload]
        self._stepped: set[str] = set()
        self.lost: list[str] = []
        self._run: Any = None
        with self._mirroring("the whole run"):
            labels = {
                "project": project,
                "group": group,
                "name": name,
                "job_type": kind,
                "config": dict(config),
            }
            self._run = _wandb_run(mode, mirror, identity, labels)

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        stepped = dict(metrics) | ({} if step is None else {"step": step})
        row = {"time": round(time.time(), 3), **self._labels, **stepped}
        self._stream.write(json.dumps(row) + "\n")
        self._stream.flush()
        self._rows += 1
        if self._run is not None:
            with self._mirroring("metrics"):
                if step is not None:
                    self._draw_over_steps(metrics)
                self._run.log(stepped, step=self._rows)

    def _draw_over_steps(self, metrics: Iterable[str]) -> None:
        for name in set(metrics) - self._stepped:
            self._run.define_metric(name, step_metric="step")
            self._stepped.add(name)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show rows with the same keys as a table in W&B; they are in the artifact already."""
        if self._run is not None and rows:
            with self._mirroring(f"table {name}"):
                import wandb

                data = [list(row.values()) for row in rows]
                self._run.log({name: wandb.Table(columns=[*rows[0]], data=data)}, step=self._rows)

    def artifact(self, folder: Path, name: str, kind: str, manifest: Mapping[str, Any]) -> None:
        """Log a finished artifact with its lineage; its fingerprint is the alias of its version. Where
        `upload` does not name its kind only a reference travels: the files stay where they are."""
        if self._run is None:
            return
        with self._mirroring(f"artifact {name}"):
            import wandb

            metadata = {key: manifest[key] for key in ("inputs", "fingerprint", "revision")}
            artifact = wandb.Artifact(name, type=kind, metadata=metadata)
            if kind in self._upload:
                # Sealed artifacts never change: no copy is needed until they are uploaded.
                artifact.add_dir(str(folder.resolve()), policy="immutable", skip_cache=True)
            else:
                artifact.add_reference(folder.resolve().as_uri(), checksum=False, max_objects=100_000)
            self._use(manifest["inputs"].values())
            self._run.log_artifact(artifact, aliases=[manifest["fingerprint"]])

    def _use(self, sources: Iterable[str]) -> None:
        """Tell W&B which versions an artifact was made of. Offline it cannot look them up; there only the
        metadata tells them."""
        for source in () if self._run.offline else sources:
            name, _, fingerprint = source.rpartition("-")
            with self._mirroring(f"lineage to {name}"):
                self._run.use_artifact(f"{name}:{fingerprint}")

    def close(self, exit_code: int = 0) -> None:
        """End the run; with an `exit_code` other than 0 W&B counts it as failed."""
        self._stream.close()
        if self._run is not None:
            with self._mirroring("the end of the run"):
                self._run.finish(exit_code=exit_code)

    @contextmanager
    def _mirroring(self, what: str) -> Iterator[None]:
        """A fault of the mirror is told in the log, counted, and costs nothing else."""
        try:
            yield
        except Exception as error:
            self.lost.append(what)
            print(f"W&B: {what} was lost: {type(error).__name__}: {error}", file=sys.stderr)


def _appended(path: Path) -> tuple[int, TextIO]:
    """A file of lines to append to, and how many it has; a line that was cut off is ended first."""
    stream = path.open("a+", encoding="utf-8")
    stream.seek(0)
    lines = stream.read()
    if lines and not lines.endswith("\n"):
        stream.write("\n")
    return len(lines.splitlines()), stream


class NoTracker:
    """For work whose measurements nobody keeps."""

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        """Forget `metrics`."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Forget `rows`."""


def for_agent() -> bool:
    """Whether a W&B sweep's agent started this process."""
    return SWEEP_ID in os.environ


def _wandb_run(mode: str, mirror: Path, identity: Path | None, labels: Mapping[str, Any]) -> Any:
    resolved = _resolved(mode)
    if resolved == "disabled":
        return None
    try:
        import wandb
    except ImportError:
        return None
    mirror.mkdir(parents=True, exist_ok=True)
    # What waits for its upload is kept beside the runs, not in the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(mirror.resolve()))
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True
    )
    same: dict[str, Any] = {} if identity is None else {"id": _run_id(identity), "resume": "allow"}
    return wandb.init(mode=resolved, dir=mirror, settings=settings, **labels, **same)


def _run_id(identity: Path) -> str:
    """The W&B run that the file names; a new one where there is no such file yet."""
    try:
        return identity.read_text(encoding="utf-8")
    except FileNotFoundError:
        identity.parent.mkdir(exist_ok=True)
        identity.write_text(made := secrets.token_hex(4), encoding="utf-8")
        return made


def leave_parents_folders() -> None:
    """For a process just forked: take temporary folders of its own for what W&B writes. Those that W&B made
    when it was loaded before the fork are shared, and the first process to end would remove them for all."""
    if "wandb" not in sys.modules:
        return
    # Names of W&B's and Python's own, so that a version without them costs its tables at worst.
    with suppress(AttributeError, ImportError):
        from wandb import Artifact
        from wandb.sdk.data_types import _private

        shared: tuple[Any, ...] = (_private.MEDIA_TMP, Artifact._TMP_DIR)
        for folder in shared:
            folder._finalizer.detach()
            folder.__init__("wandb")


def _resolved(mode: str) -> Any:
    """What `auto` stands for: W&B's own WANDB_MODE, or else whether a server is known to be there."""
    if mode != "auto":
        return mode
    known = "WANDB_API_KEY" in os.environ or for_agent()
    return os.environ.get("WANDB_MODE", "online" if known else "offline")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a stage, in order of writing; lines that a kill cut are left out."""
    return [line.row for line in whole_lines(folder / METRICS, skip_damaged=True)]
