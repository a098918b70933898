"""Metrics: `metrics.jsonl` always, W&B as its mirror.

One W&B run per stage, grouped by recipe. Without an API key runs are written offline, to be synced
later; the local manifests stay the truth, so nothing ever depends on W&B answering.

Not covered: sweeps.
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

METRICS = "metrics.jsonl"


class Tracker:
    """Writes metrics to `folder`; mirrors them in W&B where `mode` and the environment allow it."""

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
    ) -> None:
        self._stream = (folder / METRICS).open("a", encoding="utf-8")
        self._run: Any = None
        with _mirroring():
            self._run = _wandb_run(mode, project, group, name, kind, config, mirror)

    def log(self, metrics: Mapping[str, float | int | str], step: int | None = None) -> None:
        row = {"time": round(time.time(), 3), **({} if step is None else {"step": step}), **metrics}
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

    def close(self) -> None:
        self._stream.close()
        if self._run is not None:
            with _mirroring():
                self._run.finish()


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
    online = mode == "online" or (mode == "auto" and "WANDB_API_KEY" in os.environ)
    if mode == "disabled":
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
        mode="online" if online else "offline",
        dir=mirror,
        settings=settings,
    )


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a stage, in order of writing; a half-written last line is left out."""
    rows = []
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
