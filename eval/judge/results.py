"""Verdicts on their way into a file, by one process or by several that see its folder.

Each appends what it judges to a journal beside the file (`tessy.synthesis.journal`). Rows are claimed in
blocks, so that a claim costs little even where every file is a question to a server; what is left of a dead
process's blocks is taken over within a minute. Whoever finds everything judged writes the file, in the order
of the rows, and removes the journal. The journal is named after all that decides verdicts, so the same
command goes on where it was interrupted, and another one begins anew.

Not covered: test data that changes in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from tessy.claims.files import CLAIMS, FileClaims
from tessy.claims.life import states
from tessy.errors import UserError
from tessy.synthesis.journal import Journal

BLOCK = 16
"""Rows that are claimed at once."""
SHARED = "shared"
"""File in the journal's folder, once a second process has found a first one at work."""
CONDITIONS = "conditions.json"
"""File there with what all processes have in common."""
FILE = "file"
"""The claim of whoever writes the file."""


@dataclass(slots=True)
class Results:
    """The judgements of the rows `wanted` (their numbers), which end in `out`; a context manager.

    `decided_by` is all that decides them. `kept` are the rows that were judged before. Raises `UserError`
    where `out` cannot be written, or other judgements are being written there. A `helper` begins nothing:
    where nothing is under way, all is `over` for it."""

    out: Path
    decided_by: tuple[str, ...]
    wanted: Sequence[int]
    helper: bool = False
    kept: int = field(default=0, init=False)
    over: bool = field(default=False, init=False)
    """Whether the file is there already, by processes that have shared the work."""
    judged: int = field(default=0, init=False)
    """Rows that this process has judged."""
    _ids: list[str] = field(default_factory=list, init=False)
    _claims: FileClaims | None = field(default=None, init=False)
    _open: Journal | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        if self.out.is_dir() or not self.out.parent.is_dir():
            raise UserError(f"out {self.out}: must be a file in a folder that there is; choose another place")
        self._ids = [str(number) for number in self.wanted]
        if self._is_over():
            self.over = True
            return self
        with self._told():
            self._claims = FileClaims(self.folder)
            self._open = Journal(self.folder, _Blocks(self._claims))
            try:
                self._begin()
            except BaseException:
                self.__exit__()
                raise
        return self

    def _begin(self) -> None:
        # It may have been finished just now, and its journal removed under this process.
        if self._is_over() or not (self.folder / CLAIMS).is_dir():
            self.__exit__()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.__enter__()
            return
        self.kept, others = self.done(), self._others()
        if self.helper:
            self.over = not others
            if self.over and not self.kept:
                self.__exit__()
                shutil.rmtree(self.folder, ignore_errors=True)
            return
        self._refuse_or_remove_others()
        self._sign.unlink(missing_ok=True)
        if others:
            (self.folder / SHARED).touch()

    def _is_over(self) -> bool:
        if self.helper:
            return not self.folder.is_dir()
        try:
            return self._sign.read_text() == f"{self._key} {self.out.stat().st_size}"
        except OSError:
            return False

    def _refuse_or_remove_others(self) -> None:
        """No two kinds of judgement for one file: this process shows its life, so of two that begin at once
        at least one sees the other."""
        for old in self.out.parent.glob(f".{_literal(self.out.name)}.{'[0-9a-f]' * 16}.partial"):
            if old == self.folder:
                continue
            if old.is_dir() and _at_work(old):
                raise UserError(
                    f"out {self.out}: another `tessy judge`, with other responses, problems or options, is "
                    "writing it; wait for it, or choose another file"
                )
            old.unlink() if old.is_file() else shutil.rmtree(old, ignore_errors=True)

    @property
    def _key(self) -> str:
        return hashlib.sha256("\0".join(self.decided_by).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """The journal's."""
        return self.out.with_name(f".{self.out.name}.{self._key}.partial")

    @property
    def _sign(self) -> Path:
        """The file that says of which judgements `out` is, for processes that come late."""
        return self.out.with_name(f".{self.out.name}.judged")

    @property
    def _journal(self) -> Journal:
        assert self._open is not None, "used as a context manager"
        return self._open

    def _others(self) -> int:
        """How many other processes are at work."""
        assert self._claims is not None
        me, alive = self._claims.owner, self._claims.alive
        return sum(owner != me and alive(owner) for owner in states(self.folder))

    def claim(self) -> int | None:
        """The next row that nobody has judged or is at; None where there is none for now."""
        found = self._journal.claim(self._ids)
        return None if found is None else int(found)

    def put(self, number: int, result: dict[str, Any]) -> None:
        """Keep the judgement of a row that this process has claimed."""
        self._journal.finish(str(number), result)
        self.judged += 1

    def done(self) -> int:
        """How many rows are judged, by anybody."""
        return self._journal.finished()

    def is_complete(self) -> bool:
        """Whether all are judged, or the file is there already."""
        return self._journal.is_complete(self._ids)

    def show(self, state: Mapping[str, float | int | str]) -> None:
        """What others see of this process."""
        self._journal.show(state)

    def states(self) -> list[dict[str, Any]]:
        """What the processes at work say of themselves."""
        return self._journal.states()

    @property
    def conditions(self) -> dict[str, str]:
        """What is written in `conditions_file`; nothing where nothing was run."""
        try:
            found: dict[str, str] = json.loads(self.conditions_file.read_text(encoding="utf-8"))
        except OSError:
            return {}
        return found

    @property
    def conditions_file(self) -> Path:
        """Where the conditions are that all processes have in common (`eval.judge.conditions`)."""
        return self.folder / CONDITIONS

    def rows(self) -> Iterator[dict[str, Any]]:
        """The judgements of all rows wanted, in their order; all have to be there."""
        return self._journal.rows(self._ids)

    def may_finish(self) -> bool | None:
        """Whether it is this process that writes the file; None where another does, which may yet die."""
        assert self._claims is not None
        try:
            return True if self._claims.take(FILE) else None
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[IO[bytes]]:
        """The file, which gets its name on leaving; then the journal is removed."""
        assert self._claims is not None
        # Not what another writes that was taken for dead.
        written = self.folder / f"{FILE}-{self._claims.owner}"
        with self._told():
            try:
                with written.open("wb") as stream:
                    yield stream
            except BaseException:
                written.unlink(missing_ok=True)
                raise
            shared = (self.folder / SHARED).exists()
            os.replace(written, self.out)
            if shared:
                self._sign.write_text(f"{self._key} {self.out.stat().st_size}")
            # Others look for the journal: it disappears at once.
            gone = self.out.with_name(f".{self.out.name}.{uuid.uuid4().hex[:16]}.partial")
            os.replace(self.folder, gone)
            shutil.rmtree(gone, ignore_errors=True)

    def __exit__(self, *_: object) -> None:
        if self._open:
            self._open.__exit__(None, None, None)
            self._open = None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"out {self.out}: cannot be written: {error.strerror}; choose another place"
            ) from None


class _Blocks:
    """Claims of rows by their numbers, for which whole blocks are taken."""

    def __init__(self, claims: FileClaims) -> None:
        self.owner = claims.owner
        self.alive, self.show, self.close = claims.alive, claims.show, claims.close
        self._claims = claims
        self._own: dict[str, int] = {}

    def take(self, key: str) -> int | None:
        block = _block(key)
        if block not in self._own and (number := self._claims.take(block)) is not None:
            self._own[block] = number
        return self._own.get(block)

    def holds(self, key: str) -> bool:
        return self._claims.holds(_block(key))


def _block(key: str) -> str:
    return str(int(key) // BLOCK)


def _at_work(folder: Path) -> bool:
    """Whether somebody who lives works in the folder of a journal."""
    claims = FileClaims(folder)
    try:
        return any(owner != claims.owner and claims.alive(owner) for owner in states(folder))
    finally:
        claims.close()


def _literal(name: str) -> str:
    """`name` for a pattern in which it means itself."""
    return "".join(f"[{letter}]" if letter in "[*?" else letter for letter in name)
