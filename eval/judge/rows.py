"""A file of programs or answers, row by row. A row that cannot be judged is told by its line and field and
never takes another with it.

Not covered: what becomes of the rows (`results`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.judge.records import Submission
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


def digest(path: Path) -> str:
    """The hash of a file's content. Raises `UserError`."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"responses {path}: cannot be read: {error.strerror}; correct the path") from None
