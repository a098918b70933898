"""Metrics: `metrics.jsonl` always, W&B as its mirror.

One W&B run per stage, grouped by recipe; what a sweep's agent asks for is one more, of the whole recipe
(`tessy.commands.run`). Without an API key runs are written offline, to be synced later; the local manifests
stay the truth, so nothing ever depends on W&B answering.

Not covered: which points a sweep has (`tessy.commands.sweep`, or W&B's server).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tessy.jsonl import whole_lines

METRICS = "metrics.jsonl"
SWEEP_ID = "WANDB_SWEEP_ID"
OF_ONE_RUN = frozenset({SWEEP_ID, "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_SERVICE"})
"""Variables that tie a process to one W&B run: an agent sets them for the recipe's; stages have their own."""


class Tracker:
    """Writes metrics to `folder`; mirrors them in W&B where `mode` and the environment allow it.

    `joined` names a process that helps with a stage in every row it writes: what it measures is its own.
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
        joined: str = "",
    ) -> None:
        self._labels = {"joined": joined} if joined else {}
        self._stream = (folder / METRICS).open("a", encoding="utf-8")
        self._run: Any = None
        with _mirroring():
            self._run = _wandb_run(mode, project, group, name, kind, config, mirror)

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        labels = self._labels | ({} if step is None else {"step": step})
        row = {"time": round(time.time(), 3), **labels, **metrics}
        self._stream.write(json.dumps(row) + "\n")
        self._stream.flush()
        if self._run is not None:
            with _mirroring():
                self._run.log(dict(metrics), step=step)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show rows with the same keys as a table in W&B; they are in the artifact already."""
        if self._run is not None and rows:
            with _mirroring():
                import wandb

                data = [list(row.values()) for row in rows]
                self._run.log({name: wandb.Table(columns=[*rows[0]], data=data)})

    def artifact(self, folder: Path, name: str, kind: str, manifest: Mapping[str, Any]) -> None:
        """Log a finished artifact with its lineage. Only references travel: the files stay where they are."""
        if self._run is None:
            return
        with _mirroring():
            import wandb

            metadata = {key: manifest[key] for key in ("inputs", "fingerprint", "revision")}
            artifact = wandb.Artifact(name, type=kind, metadata=metadata)
            artifact.add_reference(folder.resolve().as_uri(), checksum=False, max_objects=100_000)
            if not self._run.offline:
                # Offline runs cannot look artifacts up; their lineage is in the metadata alone.
                for source in manifest["inputs"].values():
                    self._run.use_artifact(f"{source.rpartition('-')[0]}:latest")
            self._run.log_artifact(artifact)

    def close(self, exit_code: int = 0) -> None:
        """End the run; with an `exit_code` other than 0 W&B counts it as failed."""
        self._stream.close()
        if self._run is not None:
            with _mirroring():
                self._run.finish(exit_code=exit_code)


class NoTracker:
    """For work whose measurements nobody keeps."""

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        """Forget `metrics`."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Forget `rows`."""


def for_agent() -> bool:
    """Whether a W&B sweep's agent started this process."""
    return SWEEP_ID in os.environ


@contextmanager
def _mirroring() -> Iterator[None]:
    """A fault of the mirror is told in the log and costs nothing else."""
    try:
        yield
    except Exception as error:
        print(f"W&B: {type(error).__name__}: {error}", file=sys.stderr)


def _wandb_run(
    mode: str, project: str, group: str, name: str, kind: str, config: Mapping[str, Any], mirror: Path
) -> Any:
    resolved = _resolved(mode)
    if resolved == "disabled":
        return None
    try:
        import wandb
    except ImportError:
        return None
    mirror.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True
    )
    return wandb.init(
        project=project,
        group=group,
        name=name,
        job_type=kind,
        config=dict(config),
        mode=resolved,
        dir=mirror,
        settings=settings,
    )


def _resolved(mode: str) -> Any:
    """What `auto` stands for: W&B's own WANDB_MODE, or else whether a server is known to be there."""
    if mode != "auto":
        return mode
    known = "WANDB_API_KEY" in os.environ or for_agent()
    return os.environ.get("WANDB_MODE", "online" if known else "offline")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a stage, in order of writing; a half-written last line is left out."""
    return [line.row for line in whole_lines(folder / METRICS)]
