"""A file of programs or answers, row by row, and the file of verdicts that grows beside it.

A row that cannot be judged is told by its line and field and never takes another with it. Verdicts are
written in the order of the rows to a file beside the wanted one, named after all that decided them, so the
same command goes on where it was interrupted. Not covered: test data that changes in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from eval.judge.records import Submission
from tessy.claims.files import FileClaims
from tessy.errors import UserError

_MARK = b"\xef\xbb\xbf"
_WHITE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file: what it holds, and the submission it is, or else why it is none."""

    content: dict[str, Any]
    submission: Submission | None = None
    trouble: str = ""


def read_rows(path: Path) -> Iterator[Row]:
    """Every line that is not blank. Raises `UserError` where the file cannot be read at all."""
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                line = line.removeprefix(_MARK) if number == 1 else line
                if line.strip(_WHITE):
                    yield _row(f"{path}, line {number}", number, line)
    except FileNotFoundError:
        raise UserError(f"responses {path}: no such file; correct the path") from None
    except OSError as error:
        raise UserError(f"responses {path}: cannot be read: {error.strerror}") from None


def _row(where: str, number: int, line: bytes) -> Row:
    content: dict[str, Any] = {}
    try:
        found = json.loads(line.decode())
        if not isinstance(found, dict):
            raise ValueError(f"holds {type(found).__name__}, not an object")
        content = found
        return Row(content, _submission(number, content))
    except json.JSONDecodeError as error:
        trouble = f"not JSON ({error.msg}); write one object per line"
    except UnicodeDecodeError as error:
        trouble = f"not UTF-8 at byte {error.start}; mend it"
    except RecursionError:
        trouble = "nested too deeply; flatten it"
    except ValueError as error:
        trouble = str(error)
    return Row(content or {"line": number}, None, f"{where}: {trouble}")


def _submission(number: int, row: dict[str, Any]) -> Submission:
    for name in ("problem_id", "language"):
        if not isinstance(row.get(name), str | int) or isinstance(row.get(name), bool):
            raise ValueError(f"{name} is {row.get(name)!r}; it must be text (a problem_id may be a number)")
    for name in ("code", "response"):
        if not isinstance(row.get(name), str | None):
            raise ValueError(f"{name} is {type(row[name]).__name__}; it must be text")
    return Submission(
        problem_id=str(row["problem_id"]), language=str(row["language"]), code=row.get("code"),
        response=row.get("response"), sample_id=str(row.get("sample_id", number)),
    )  # fmt: skip


@dataclass(slots=True)
class Results:
    """Rows of verdicts on their way into `out`, as a context manager; `kept` are those of an earlier run."""

    out: Path
    decided_by: tuple[str, ...]
    kept: list[dict[str, Any]] = field(default_factory=list)
    _stream: IO[bytes] | None = None
    _claims: FileClaims | None = None

    def __enter__(self) -> Results:
        if self.out.is_dir() or not self.out.parent.is_dir():
            raise UserError(f"out {self.out}: must be a file in a folder that there is; choose another place")
        partial = self._partial()
        with self._told():
            self._claims = FileClaims(self._writers)
            if self._claims.take("rows") is None:
                self._claims.close()
                raise UserError(f"out {self.out}: another `tessy judge` is writing it; wait for it")
            for old in self.out.parent.glob(f".{self.out.name}.*.partial"):
                if old != partial:
                    old.unlink()
            self._stream = partial.open("a+b")
            self._stream.seek(0)
            self._stream.truncate(self._read(self._stream))
        return self

    @property
    def _writers(self) -> Path:
        """The folder in which the process that writes says so."""
        return self.out.with_name(f".{self.out.name}.writers")

    def _partial(self) -> Path:
        name = hashlib.sha256("\0".join(self.decided_by).encode()).hexdigest()[:16]
        return self.out.with_name(f".{self.out.name}.{name}.partial")

    def _read(self, stream: IO[bytes]) -> int:
        """Keep the rows that are whole, and say where they end."""
        end = 0
        for line in stream:
            try:
                self.kept.append(json.loads(line))
            except ValueError:
                break
            if not line.endswith(b"\n"):
                self.kept.pop()
                break
            end += len(line)
        return end

    def put(self, row: dict[str, Any]) -> None:
        """Write the next row. Half characters and odd line ends are written as JSON's escapes."""
        assert self._stream is not None, "used as a context manager"
        with self._told():
            self._stream.write(json.dumps(row).encode() + b"\n")
            self._stream.flush()

    def finish(self) -> None:
        """All rows are there: give the file its name."""
        with self._told():
            os.replace(self._partial(), self.out)
        shutil.rmtree(self._writers, ignore_errors=True)

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._claims is not None:
            self._claims.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"out {self.out}: cannot be written: {error.strerror}; choose another place"
            ) from None


def digest(path: Path) -> str:
    """The hash of a file's content. Raises `UserError`."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"responses {path}: cannot be read: {error.strerror}; correct the path") from None
