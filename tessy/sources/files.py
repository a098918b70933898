"""Rows of one file: JSON Lines, a JSON array, CSV, Parquet, Arrow. Compressed ones are decompressed as they
are read.

Memory: one row of a text file, one batch of a Parquet or Arrow file.

Not covered: what columns mean; nested tables in a JSON object.
"""

from __future__ import annotations

import bz2
import codecs
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from tessy.errors import UserError
from tessy.sources.csv_rows import NO_TEXT, rows_of_csv
from tessy.sources.layouts import GUESSES
from tessy.sources.leftout import LeftOut, Unfit

_BINARY = (".parquet", ".arrow", ".feather")
_COMPRESSED = (".gz", ".zst", ".bz2")
_BATCH = 64
"""Rows of a Parquet file in memory: traces are long."""
_BUFFER = 1 << 20
_LARGEST = 1 << 28
"""Characters of a row of a JSON array, at most."""
_BETWEEN = re.compile(r"[\s,]*")
_ONE_OBJECT = (
    "it is one JSON object, where an array or lines of objects are needed; write its rows, with pandas by "
    "to_json(path, orient='records', lines=True)"
)
NOT_JSON = "not JSON"
NO_OBJECT = "not an object"

Numbered = Iterator[tuple[int, Mapping[str, object]]]


def is_table(path: Path) -> bool:
    """Whether its name is that of a table."""
    packed = path.suffix.lower() in _COMPRESSED
    return _ending(path) in _READERS and not (packed and _ending(path) in _BINARY)


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
    """Without the one of compression; Windows writes them in capitals, too."""
    inner = Path(path.stem).suffix if path.suffix.lower() in _COMPRESSED else path.suffix
    return inner.lower()


Raw = Iterator[tuple[int, "Mapping[str, object] | Unfit"]]


def _stream(path: Path) -> BinaryIO:
    """The file's bytes, decompressed."""
    if path.suffix.lower() == ".bz2":
        # Arrow reads no second stream behind the first, and parallel compressors write many.
        return cast(BinaryIO, io.BufferedReader(bz2.open(path), _BUFFER))
    import pyarrow as pa

    return cast(BinaryIO, io.BufferedReader(pa.input_stream(str(path)), _BUFFER))


def _text(path: Path) -> BinaryIO:
    """The bytes of a file of text; raises `UserError` where they are UTF-16."""
    stream = cast(io.BufferedReader, _stream(path))
    if stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        stream.close()
        raise UserError(f"{path}: it is UTF-16; save it as UTF-8, or: iconv -f utf-16 -t utf-8")
    return cast(BinaryIO, stream)


def _json_lines(path: Path) -> Raw:
    with _text(path) as stream:
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
    with _text(path) as stream:
        start = stream.read(_BUFFER).removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        return _json_array(path)
    if start.partition(b"\n")[0].strip() == b"{":
        raise UserError(f"{path}: {_ONE_OBJECT}")
    return _rows_of_object(path)


def _rows_of_object(path: Path) -> Raw:
    """JSON Lines; raises `UserError` for a single object that holds columns or lists of rows."""
    rows = _json_lines(path)
    first = list(islice(rows, 2))
    if len(first) == 1 and isinstance(only := first[0][1], Mapping):
        nested = all(isinstance(value, dict | list) for value in only.values())
        if nested and not only.keys() & set(GUESSES["messages"]):
            raise UserError(f"{path}: {_ONE_OBJECT}")
    yield from chain(first, rows)


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
        # Invalid UTF-8 becomes lone surrogates, which name the row that has them.
        with (
            _text(path) as binary,
            io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
        ):
            yield from rows_of_csv(stream, separator, lambda said: UserError(f"{path}: {said}"))

    return read


def _parquet(path: Path, columns: Sequence[str] | None = None) -> Raw:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A buffer has columns read piece by piece, where a whole row group of traces may be gigabytes.
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            present = file.schema_arrow.names
            _require_different(path, present)
            wanted = None if columns is None else [name for name in columns if name in present]
            yield from _numbered(file.iter_batches(batch_size=_BATCH, columns=wanted, use_threads=False))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None


def _arrow(path: Path) -> Raw:
    """Arrow's stream format, in which `datasets` saves, or its file format (Feather)."""
    import pyarrow as pa

    try:
        opened = pa.ipc.open_stream if _is_stream(path) else pa.ipc.open_file
        with pa.memory_map(str(path)) as source, opened(source) as file:
            _require_different(path, file.schema.names)
            streamed = isinstance(file, pa.RecordBatchStreamReader)
            batches = file if streamed else map(file.get_batch, range(file.num_record_batches))
            yield from _numbered(
                batch.slice(start, _BATCH) for batch in batches for start in range(0, batch.num_rows, _BATCH)
            )
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None


def _is_stream(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) != b"ARROW1"


def _require_different(path: Path, names: Sequence[str]) -> None:
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UserError(f"{path}: two columns are called {twice[0]!r}; rename one")


def _numbered(batches: Iterable[Any]) -> Raw:
    yield from enumerate((row for batch in batches for row in _rows_of_batch(batch)), start=1)


def _rows_of_batch(batch: Any) -> Iterator[Mapping[str, object] | Unfit]:
    try:
        columns = [_values(column) for column in batch.columns]
        names = batch.schema.names
        yield from (
            (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
            if columns
            else ({} for _ in range(batch.num_rows))
        )
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            try:
                (row,) = batch.slice(at, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield Unfit(NO_TEXT, f"byte {error.start} of a cell")
            else:
                yield row


def _values(column: Any) -> list[object]:
    """The values of a column; as text, where Python has no such value (years after 9999, nanoseconds)."""
    import pyarrow as pa

    try:
        found: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError, NotImplementedError, pa.ArrowException):
        found = column.cast(pa.string()).to_pylist()
    return found


_READERS: dict[str, Callable[[Path], Raw]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".feather": _arrow,
}
