"""What an offline W&B run holds, read from its transaction log with W&B's own record definitions.

wandb 0.31 has no reader in Python (`wandb sync` reads in Go); the log is LevelDB's format of blocks.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER, FULL, LAST = 1 << 15, 7, 1, 4
TABLE = "wandb-client-artifact://"


@dataclass
class OfflineRun:
    """One `.wandb` file: history rows by metric name (several names for a part of what is no number),
    artifacts, and whether the run ended in order."""

    path: Path
    run_id: str = ""
    name: str = ""
    history: list[dict[tuple[str, ...], Any]] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def tables(self) -> dict[str, list[list[Any]]]:
        """The rows of every table, from the files that wait for their upload as parts of artifacts."""
        return {
            key[0]: self._rows(*value.removeprefix(TABLE).split("/", 1))
            for row in self.history
            for key, value in row.items()
            if key[1:] == ("artifact_path",)
        }

    def _rows(self, artifact: str, name: str) -> list[list[Any]]:
        (found,) = (one for one in self.artifacts if one.client_id == artifact)
        (entry,) = (entry for entry in found.manifest.contents if entry.path == name)
        rows: list[list[Any]] = json.loads(Path(entry.local_path).read_text())["data"]
        return rows

    def metrics(self) -> list[dict[str, Any]]:
        """The rows that were logged, without what W&B adds and without tables."""
        rows = [
            {name[0]: value for name, value in row.items() if len(name) == 1 and name[0][0] != "_"}
            for row in self.history
        ]
        return [row for row in rows if row]


def offline_runs(mirror: Path) -> list[OfflineRun]:
    """Every offline run under `mirror`, in order of their start."""
    paths = sorted(mirror.rglob("offline-run-*/*.wandb"), key=lambda path: path.parent.name)
    return [_read(path) for path in paths]


def _read(path: Path) -> OfflineRun:
    from wandb.proto.wandb_internal_pb2 import Record

    run = OfflineRun(path)
    for data in _records(path.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.run_id, run.name = record.run.run_id, record.run.display_name
        elif kind == "history":
            items = record.history.item
            names = [(item.key,) if item.key else tuple(item.nested_key) for item in items]
            values = [json.loads(item.value_json) for item in items]
            run.history.append(dict(zip(names, values, strict=True)))
        elif kind == "artifact":
            run.artifacts.append(record.artifact)
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            run.artifacts.append(record.request.log_artifact.artifact)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _records(data: bytes) -> Iterator[bytes]:
    magic, _ = struct.unpack("<4sH", data[:6])
    assert magic == b":W&B", "not a W&B transaction log"
    at, parts = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        if kind == 0:
            break
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            yield parts
            parts = b""
