"""Artifacts: the outputs of stages, named by fingerprints of what they depend on.

An artifact is a folder `<stage>-<fingerprint>/` whose `manifest.json` is written last, so its
existence proves that everything else is complete. While a stage runs, its folder has the suffix
`.partial`; a killed stage resumes from its unfinished work there.

Not covered: which stages exist and when one may be reused (`tessy.runtime`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tessy.errors import UserError
from tessy.records import from_row, to_row

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
PARTIAL = ".partial"
DIARY = ("metrics*.jsonl", "*.log")
"""Files that tell when and how fast: part of an artifact, but not of what it holds."""
_ROWS_AT_ONCE = 256
R = TypeVar("R")


def fingerprint(value: Any) -> str:
    """12 hex digits of a hash of `value`'s canonical JSON; raises `TypeError` for values without one."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and without white space; finite numbers and plain types only."""
    _refuse_unstable(value, "value")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_unstable(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(
                    f"{where}: key {key!r} is {type(key).__name__}; a fingerprint needs text keys"
                )
            _refuse_unstable(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _refuse_unstable(inner, f"{where}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} has no stable form; use a finite number")
    elif not (value is None or isinstance(value, str | bool | int)):
        raise TypeError(f"{where}: {type(value).__name__} has no stable form; use plain values")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace `path` atomically: a reader sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path`, with the same ending, that takes its place once it is whole. One process writes
    it at a time; what a killed one left is written over."""
    temporary = path.with_name(f".partial-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def finish(partial: Path, manifest: Mapping[str, Any]) -> Path:
    """Finish `<name>.partial/`: list its files in the manifest, write that last, remove the suffix."""
    files = {
        str(path.relative_to(partial)): {"sha256": file_digest(path), "bytes": path.stat().st_size}
        for path in sorted(partial.rglob("*"))
        if path.is_file() and not any(map(path.match, (*DIARY, MANIFEST)))
    }
    write_json(partial / MANIFEST, {**manifest, "files": files})
    final = partial.with_name(partial.name.removesuffix(PARTIAL))
    os.rename(partial, final)
    return final


def manifest_of(artifact: Path) -> dict[str, Any] | None:
    """The manifest of a finished artifact, or None where there is none (then there is no artifact)."""
    try:
        manifest: dict[str, Any] = read_json(artifact / MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return manifest


# Datasets -----------------------------------------------------------------------------------------


def write_parquet(
    path: Path, rows: Iterable[Any], name: str, about: str, *, rows_at_once: int | None = None
) -> int:
    """Write records or mappings as Parquet, with a dataset card in the same folder; returns the row count.

    Rows need the same fields. With `rows_at_once`, at most that many are in memory at a time; the first
    batch must then determine every column's type. `datasets.load_dataset("parquet", data_files=...)` reads
    the result.
    """
    plain = (row if isinstance(row, Mapping) else to_row(row) for row in rows)
    columnar = ({k: _columnar(v) for k, v in row.items()} for row in plain)
    schema, count = write_table(path, columnar, rows_at_once)
    write_text(path.with_name("README.md"), _card(path, name, about, schema, count))
    return count


def write_table(
    path: Path, rows: Iterator[Mapping[str, Any]], rows_at_once: int | None
) -> tuple[pa.Schema, int]:
    """Write `rows` alone, as `write_parquet` does; their schema and number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(islice(rows, rows_at_once)))
    schema, count = table.schema, 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while True:
            writer.write_table(table)
            count += table.num_rows
            group = list(islice(rows, rows_at_once))
            if not group:
                break
            table = pa.Table.from_pylist(group, schema=schema)
    return schema, count


def join_parquet(path: Path, parts: Sequence[Path], name: str, about: str) -> int:
    """Write the rows of `parts`, one after the other, as one file with a dataset card; returns the row count.
    One part at a time is in memory."""
    import pyarrow.parquet as pq

    schema, count = _open_parquet(parts[0]).schema_arrow, 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for part in parts:
            table = pq.read_table(part).cast(schema)
            writer.write_table(table)
            count += table.num_rows
    write_text(path.with_name("README.md"), _card(path, name, about, schema, count))
    return count


def read_parquet(path: Path, kind: type[R]) -> Iterator[R]:
    """The rows of `path` as records of type `kind`, read in batches."""
    for batch in _open_parquet(path).iter_batches(batch_size=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield from_row(kind, row)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file as plain values."""
    rows: list[dict[str, Any]] = _open_parquet(path).read().to_pylist()
    return rows


def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such dataset; run the stage that makes it") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a Parquet file: {error}") from None


def _columnar(value: Any) -> Any:
    """Replace empty mappings, because Parquet has no struct without fields."""
    return None if isinstance(value, Mapping) and not value else value


def _card(path: Path, name: str, about: str, schema: Any, count: int) -> str:
    columns = "\n".join(f"| `{field.name}` | {field.type} |" for field in schema)
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files: {path.name}\n---\n\n# {name}\n\n{about}\n\n"
        f"{count} rows.\n\n| column | type |\n|---|---|\n{columns}\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        f'load_dataset("parquet", data_files="{path.name}")\n```\n'
    )
