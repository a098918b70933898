"""Metrics: always written to `metrics.jsonl`, optionally mirrored to W&B.

One W&B run per stage, grouped by recipe, and the same one when the stage is resumed; a sweep's agent gets a
further one for the whole recipe (`tessy.commands.run`). Without an API key runs are written offline, for
`wandb sync`; the local manifests are authoritative, so nothing depends on W&B being reachable. A step in W&B
is a line number of `metrics.jsonl`, which grows even where a resumed stage repeats its own steps (the metric
`step`), because W&B drops repeated steps.

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
    """Writes metrics to `folder`; mirrors them to W&B where `mode` and the environment allow it.

    `identity` is the file with the id of this W&B run until the run is finished; `upload` lists the kinds of
    artifacts whose files are uploaded. `joined` is the name of a process that helps with a stage: it has a
    file of its own (appending is not atomic where machines share a folder), and the name is in every row,
    because its measurements cover only itself. `lost` counts what W&B did not accept.
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
        own = f"metrics-{joined.replace('/', '-')}.jsonl" if joined else METRICS
        self._rows, self._stream = _appended(folder / own)
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
        """Log rows with the same keys as a W&B table; they are already in the artifact."""
        if self._run is not None and rows:
            with self._mirroring(f"table {name}"):
                import wandb

                data = [list(row.values()) for row in rows]
                self._run.log({name: wandb.Table(columns=[*rows[0]], data=data)}, step=self._rows)

    def artifact(self, folder: Path, name: str, kind: str, manifest: Mapping[str, Any]) -> None:
        """Log a finished artifact with its lineage; its fingerprint is the alias of its version. Unless
        `upload` names its kind, only a reference is logged, and the files stay local."""
        if self._run is None:
            return
        with self._mirroring(f"artifact {name}"):
            import wandb

            metadata = {key: manifest[key] for key in ("inputs", "fingerprint", "revision")}
            artifact = wandb.Artifact(name, type=kind, metadata=metadata)
            if kind in self._upload:
                # Finished artifacts never change: no copy is needed until they are uploaded.
                artifact.add_dir(str(folder.resolve()), policy="immutable", skip_cache=True)
            else:
                artifact.add_reference(folder.resolve().as_uri(), checksum=False, max_objects=100_000)
            self._use(manifest["inputs"].values())
            self._run.log_artifact(artifact, aliases=[manifest["fingerprint"]])

    def _use(self, sources: Iterable[str]) -> None:
        """Log the versions from which an artifact was made. Offline W&B cannot look them up; there only the
        metadata has them."""
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
        """Log and count an error of W&B, and continue."""
        try:
            yield
        except Exception as error:
            self.lost.append(what)
            print(f"W&B: {what} was lost: {type(error).__name__}: {error}", file=sys.stderr)


def _appended(path: Path) -> tuple[int, TextIO]:
    """A file of lines opened for appending, and the number of its lines; a truncated line is ended first."""
    stream = path.open("a+", encoding="utf-8")
    stream.seek(0)
    lines = stream.read()
    if lines and not lines.endswith("\n"):
        stream.write("\n")
    return len(lines.splitlines()), stream


class NoTracker:
    """A tracker that keeps nothing."""

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        """Discard `metrics`."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Discard `rows`."""


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
    # Files that wait for their upload are kept next to the runs, not in the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(mirror.resolve()))
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True
    )
    same: dict[str, Any] = {} if identity is None else {"id": _run_id(identity), "resume": "allow"}
    return wandb.init(mode=resolved, dir=mirror, settings=settings, **labels, **same)


def _run_id(identity: Path) -> str:
    """The W&B run id in the file; a new one where there is no such file yet."""
    try:
        return identity.read_text(encoding="utf-8")
    except FileNotFoundError:
        identity.parent.mkdir(exist_ok=True)
        identity.write_text(made := secrets.token_hex(4), encoding="utf-8")
        return made


def leave_parents_folders() -> None:
    """In a process just forked: use its own temporary folders for what W&B writes. Those that W&B made when
    it was imported before the fork are shared, and the first process to end would remove them for all."""
    if "wandb" not in sys.modules:
        return
    # Private names of W&B and Python: a version without them loses its tables at worst.
    with suppress(AttributeError, ImportError):
        from wandb import Artifact
        from wandb.sdk.data_types import _private

        shared: tuple[Any, ...] = (_private.MEDIA_TMP, Artifact._TMP_DIR)
        for folder in shared:
            folder._finalizer.detach()
            folder.__init__("wandb")


def _resolved(mode: str) -> Any:
    """The mode that `auto` stands for: WANDB_MODE if set, otherwise online if a server is configured."""
    if mode != "auto":
        return mode
    known = "WANDB_API_KEY" in os.environ or for_agent()
    return os.environ.get("WANDB_MODE", "online" if known else "offline")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a stage by time, those of processes that joined among them, without lines that a kill
    truncated."""
    files = [folder / METRICS, *sorted(folder.glob("metrics-*.jsonl"))]
    rows = [line.row for file in files for line in whole_lines(file, skip_damaged=True)]
    return sorted(rows, key=lambda row: row.get("time", 0.0)) if len(files) > 1 else rows
