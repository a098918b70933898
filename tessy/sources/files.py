"""Rows of one file: JSON Lines, a JSON array, CSV, Parquet. Compressed ones are decompressed as they are
read.

Memory: one row of a text file, one batch of a Parquet file.

Not covered: what columns mean; nested tables in a JSON object.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from tessy.errors import UserError
from tessy.sources.leftout import LeftOut, Unfit

_COMPRESSED = (".gz", ".zst", ".bz2")
_BATCH = 64
"""Rows of a Parquet file in memory: traces are long."""
_BUFFER = 1 << 20
_LARGEST = 1 << 28
"""Characters of a row of a JSON array, at most."""
_BETWEEN = re.compile(r"[\s,]*")
NOT_JSON = "not JSON"
NO_OBJECT = "not an object"
NO_TEXT = "not UTF-8"
CELLS = "cells do not fit the header"

Numbered = Iterator[tuple[int, Mapping[str, object]]]


def is_table(path: Path) -> bool:
    """Whether its name is that of a table."""
    return _ending(path) in _READERS and not (_ending(path) == ".parquet" and path.suffix in _COMPRESSED)


def rows_of(path: Path, name: str, left_out: LeftOut, columns: Sequence[str] | None = None) -> Numbered:
    """Rows with their numbers, counted from 1. A row that cannot be read is added to `left_out` under
    `name:number`. Of a Parquet file only `columns` are read, where given. Raises `UserError` where the file
    cannot be read on."""
    at = 0
    try:
        parquet = _ending(path) == ".parquet"
        for at, found in _parquet(path, columns) if parquet else _READERS[_ending(path)](path):
            if isinstance(found, Unfit):
                left_out.add(f"{name}:{at}", found)
            else:
                yield at, found
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read behind row {at}: {error}; it is damaged or incomplete, fetch it again"
        ) from None


def rows_about(path: Path) -> int | None:
    """How many rows it has: of Parquet as it says itself, of JSON Lines the lines; None for the others."""
    if _ending(path) == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    if _ending(path) not in (".jsonl", ".ndjson"):
        return None
    try:
        with _stream(path) as stream:
            return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(_BUFFER), b""))
    except OSError:
        # Damaged: reading its rows says where.
        return None


def _ending(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix


Raw = Iterator[tuple[int, "Mapping[str, object] | Unfit"]]


def _stream(path: Path) -> BinaryIO:
    """The file's bytes, decompressed."""
    import pyarrow as pa

    return cast(BinaryIO, io.BufferedReader(pa.input_stream(str(path)), _BUFFER))


def _json_lines(path: Path) -> Raw:
    with _stream(path) as stream:
        for number, line in enumerate(stream, start=1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if line.strip():
                yield number, _object(line)


def _object(line: bytes) -> Mapping[str, object] | Unfit:
    try:
        return _mapping(json.loads(line.decode()))
    except UnicodeDecodeError as error:
        return Unfit(NO_TEXT, f"byte {error.start} of the line")
    except (ValueError, RecursionError) as error:
        return Unfit(NOT_JSON, str(error))


def _mapping(value: object) -> Mapping[str, object] | Unfit:
    if isinstance(value, dict):
        return value
    return Unfit(NO_OBJECT, f"{type(value).__name__} where an object is needed")


def _json(path: Path) -> Raw:
    """A JSON array of objects, or JSON Lines under that name."""
    with _stream(path) as stream:
        start = stream.read(_BUFFER).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return _json_array(path) if start == b"[" else _json_lines(path)


def _json_array(path: Path) -> Raw:
    decode, number, at = json.JSONDecoder().raw_decode, 0, 0
    with _stream(path) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig") as stream:
        text = stream.read(_BUFFER).lstrip().removeprefix("[")
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if text.startswith("]", at):
                return
            try:
                value, end = decode(text, at)
            except ValueError as error:
                # The value goes on behind what was read, or the file is no JSON. Reading twice as much each
                # time keeps the work proportional to the size of a value.
                more = stream.read(max(_BUFFER, len(text) - at)) if len(text) - at < _LARGEST else ""
                if not more:
                    raise ValueError(f"row {number + 1} is no whole JSON value: {error}") from None
                text, at = text[at:] + more, 0
                continue
            number, at = number + 1, end
            yield number, _mapping(value)


def _csv(separator: str) -> Callable[[Path], Raw]:
    def read(path: Path) -> Raw:
        csv.field_size_limit(sys.maxsize)
        # Invalid UTF-8 becomes lone surrogates, which name the row that has them.
        with (
            _stream(path) as binary,
            io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
        ):
            lines = csv.reader(stream, delimiter=separator)
            header = next(lines, [])
            for number, cells in enumerate(lines, start=1):
                if cells:
                    yield number, _cells(header, cells)

    return read


def _cells(header: list[str], cells: list[str]) -> Mapping[str, object] | Unfit:
    if len(cells) != len(header):
        return Unfit(CELLS, f"{len(cells)} cells, {len(header)} columns")
    if broken := [name for name, cell in zip(header, cells, strict=True) if not _is_utf8(cell)]:
        return Unfit(NO_TEXT, f"column {broken[0]}")
    return dict(zip(header, cells, strict=True))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(path: Path, columns: Sequence[str] | None = None) -> Raw:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        # A buffer has columns read piece by piece, where a whole row group of traces may be gigabytes.
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            present = file.schema_arrow.names
            wanted = None if columns is None else [name for name in columns if name in present]
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted, use_threads=False):
                for found in _rows_of_batch(batch):
                    number += 1
                    yield number, found
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None


def _rows_of_batch(batch: Any) -> Iterator[Mapping[str, object] | Unfit]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            try:
                (row,) = batch.slice(at, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield Unfit(NO_TEXT, f"byte {error.start} of a cell")
            else:
                yield row


_READERS: dict[str, Callable[[Path], Raw]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".parquet": _parquet,
}
