"""Tables that others made, as parts of a recipe: where one is, and what its columns are called.

Not covered: reading them (`tessy.sources`).
"""

from __future__ import annotations

from pathlib import Path

from tessy.config.base import Positive, Section


class Columns(Section):
    """Names of columns. What is left out is guessed from the first rows, and the guess is reported."""

    id: str | None = None
    """What a row is called. Without such a column it is called by its place."""
    messages: str | None = None
    """A whole conversation: messages (`role`, `content`) or ShareGPT's turns (`from`, `value`)."""
    prompt: str | None = None
    system: str | None = None
    thinking: str | None = None
    """The thinking, where it stands apart from the response."""
    response: str | None = None


class Source(Section):
    """A table: JSON Lines (plain, .gz, .zst), a JSON array, Parquet, CSV, a folder of these, or a data set on
    the hub."""

    source: str = ""
    """A file, a folder, or a hub id. What may go without it says so, and what it is then."""
    revision: str | None = None
    """The commit of a hub id. Without one the newest is read, and the manifest says which that was."""
    subset: str | None = None
    """The configuration of a data set that has several."""
    split: str | None = None
    """Its split; without one `train`, or its only one."""
    columns: Columns = Columns()
    limit: Positive | None = None
    """Use only this many rows, from the front."""
    licence: str = ""
    """Its terms, for the cards of what is made of it."""

    @property
    def is_local(self) -> bool:
        """Whether it is a file or folder. What exists is one, and so is what is written like a path."""
        written = self.source.startswith((".", "/", "~")) or self.source.count("/") != 1
        return written or Path(self.source).suffix.lower() in _ENDINGS or Path(self.source).exists()


_ENDINGS = (".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow", ".feather", ".gz", ".zst",
    ".bz2")  # fmt: skip
