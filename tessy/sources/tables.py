"""The files of a source, and their rows.

A hub data set is read from its own files at one commit; `datasets` says which belong to a configuration and
split. The same holds for a folder where the recipe names a subset or split; otherwise all its tables count.

Not covered: data sets that need a script, archives, images and sound.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tessy.artifacts import fingerprint, read_json, write_json
from tessy.config.sources import Source
from tessy.digests import cache_folder
from tessy.errors import UserError
from tessy.hub import TIMEOUT_S, is_commit, snapshot, unusable
from tessy.sources.files import is_table, rows_about, rows_of
from tessy.sources.leftout import LeftOut

if TYPE_CHECKING:
    from datasets import DatasetBuilder

GUESSED_FROM = 50
"""Rows that a guess about columns is made from."""
_CARD = "README.md"


class Row(NamedTuple):
    """A row and its place, `file:number`, counted from 1 and relative to the source."""

    values: Mapping[str, object]
    origin: str


@dataclass(frozen=True, slots=True)
class Table:
    """The files of a source below `root`, in order. `commit` is that of a hub data set. `said` is what was
    chosen where the recipe did not say it."""

    source: Source
    field: str
    root: Path
    files: tuple[Path, ...]
    commit: str | None = None
    said: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def count(self) -> int | None:
        """About how many rows there are, where that is quickly known."""
        counts = [rows_about(file) for file in self.files]
        found = sum(count or 0 for count in counts)
        known = found if None not in counts else None
        limit = self.source.limit
        return limit if known is None else known if limit is None else min(known, limit)

    def rows(self, left_out: LeftOut, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Rows that can be read, at most `source.limit`; the others are added to `left_out`. Of Parquet files
        only `columns` are read, where given. Raises `UserError` for a file that is damaged as a whole."""
        return islice(self._all(left_out, columns), self.source.limit)

    def first_rows(self) -> list[Row]:
        """The first rows, to look at. Raises `UserError` where there are none."""
        left_out = LeftOut()
        found = list(islice(self.rows(left_out), GUESSED_FROM))
        if not found:
            why = "; ".join(left_out.lines()) or "it is empty"
            raise UserError(f"{self.field}.source {self.source.source}: no row can be read: {why}; mend it")
        return found

    def _all(self, left_out: LeftOut, columns: Sequence[str] | None) -> Iterator[Row]:
        for file in self.files:
            name = str(file.relative_to(self.root))
            for number, values in rows_of(file, name, left_out, columns):
                yield Row(values, f"{name}:{number}")


def open_table(source: Source, field: str) -> Table:
    """The table at `source`, which the recipe's `field` names; raises `UserError` where there is none."""
    if not source.is_local:
        return _on_the_hub(source, field)
    path = Path(source.source).expanduser()
    if path.is_file():
        if not is_table(path):
            raise UserError(f"{field}.source {path}: {_KNOWN}")
        return Table(source, field, path.parent, (path,))
    if not path.is_dir():
        raise UserError(f"{field}.source {source.source!r}: no such file or folder; give an existing one")
    if (path / "dataset_dict.json").is_file():
        return open_table(_of_splits(source, field, path), field)
    if source.subset or source.split:
        return _of_split(source, field, path, None)
    found = sorted(_below(path, field))
    files = tuple(file for file in found if is_table(file) and file.name not in _OF_DATASETS)
    if not files:
        raise UserError(f"{field}.source {path}: no table in this folder; {_KNOWN}")
    others = [file.name for file in found if not is_table(file) and file.suffix.lower() not in _PAPERS]
    said = f"{len(others)} files are no tables and are not read: {', '.join(others[:3])}"
    return Table(source, field, path, files, said=(said,) if others else ())


_KNOWN = (
    "a table ends in .jsonl, .ndjson, .json, .csv, .tsv (also with .gz, .zst or .bz2), .parquet, .arrow or "
    ".feather"
)
_OF_DATASETS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""What `datasets` writes beside its tables."""
_PAPERS = ("", ".md", ".txt", ".yaml", ".py")
"""Files that stand beside tables without being data."""


def _below(root: Path, field: str) -> Iterator[Path]:
    """The files in a folder and all below it, also behind links, without hidden ones."""
    seen = set[str]()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [name for name in folders if not name.startswith(".")] if real not in seen else []
        for name in names if real not in seen else ():
            file = Path(folder) / name
            if not file.exists():
                raise UserError(f"{field}.source {file}: a link to a file that is not there; remove it")
            if file.is_file() and not name.startswith("."):
                yield file
        seen.add(real)


def _of_splits(source: Source, field: str, folder: Path) -> Source:
    """The source of one split in a folder that `datasets` has saved with several."""
    try:
        splits = list(map(str, read_json(folder / "dataset_dict.json")["splits"]))
    except (ValueError, KeyError, TypeError):
        splits = []
    split = source.split or ("train" if "train" in splits else splits[0] if len(splits) == 1 else "")
    if split not in splits:
        raise UserError(f"{field}.split: {folder} has the splits {', '.join(splits) or 'none'}; name one")
    return source.model_copy(update={"source": str(folder / split), "split": None})


def _on_the_hub(source: Source, field: str) -> Table:
    """The table's files, fetched into the hub's cache, or found there without access to it."""
    from huggingface_hub import HfApi

    name, revision = source.source, source.revision or "main"
    known = cache_folder() / "tables" / f"{fingerprint([name, revision, source.subset, source.split])}.json"
    try:
        commit = str(HfApi().dataset_info(name, revision=revision, timeout=TIMEOUT_S).sha)
        said, urls = _files(_builder(source, name, revision=commit), source, field)
    except UserError:
        raise
    except Exception:
        return _in_the_cache(source, field, known)
    files = [url.partition(f"@{commit}/")[2] or url for url in urls]
    root = snapshot(name, commit, [_CARD, *files])
    with suppress(OSError):
        write_json(known, {"commit": commit, "files": files, "said": list(said)})
    return Table(source, field, root, tuple(root / file for file in files), commit, said)


def _in_the_cache(source: Source, field: str, known: Path) -> Table:
    """What was fetched of it before: as this project wrote it down, or else the whole repository. Raises
    `UserError` saying why the hub did not give it."""
    name, revision = source.source, source.revision or "main"
    with suppress(OSError, ValueError, KeyError):
        before = read_json(known)
        root = snapshot(name, before["commit"], [_CARD, *before["files"]])
        files = tuple(root / file for file in before["files"])
        return Table(source, field, root, files, before["commit"], tuple(before["said"]))
    root = snapshot(name, revision)
    return _of_split(source, field, root, revision if is_commit(revision) else root.name)


def _of_split(source: Source, field: str, root: Path, commit: str | None) -> Table:
    """The files of a folder that belong to the subset and split."""
    said, names = _files(_builder(source, str(root)), source, field)
    return Table(source, field, root, tuple(Path(name) for name in names), commit, said)


def _builder(source: Source, place: str, **more: Any) -> DatasetBuilder:
    """What `datasets` makes of the repository or folder `place`."""
    from datasets import load_dataset_builder
    from datasets.exceptions import DataFilesNotFoundError

    try:
        return load_dataset_builder(place, source.subset, **more)
    except DataFilesNotFoundError as error:
        raise UserError(unusable(f"data set {source.source}", source.revision, error)) from error
    except ValueError as error:
        if "BuilderConfig" not in str(error) and "Config name" not in str(error):
            raise
        raise UserError(f"data set {source.source}: {error}; set `subset`") from None


def _files(builder: DatasetBuilder, source: Source, field: str) -> tuple[tuple[str, ...], list[str]]:
    """What was chosen, and the names of the split's files."""
    by_split = {str(split): files for split, files in (builder.config.data_files or {}).items()}
    split = source.split or ("train" if "train" in by_split else next(iter(by_split), ""))
    if split not in by_split or (source.split is None and split != "train" and len(by_split) > 1):
        raise UserError(f"{field}.split: {source.source} has the splits {', '.join(by_split)}; name one")
    names = [str(name) for name in by_split[split]]
    if unknown := [name for name in names if not is_table(Path(name))]:
        raise UserError(f"{field}.source {source.source}: {Path(unknown[0]).name} is no table; {_KNOWN}")
    return (() if source.split else (f"split {split}",)), names
