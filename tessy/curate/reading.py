"""Rows of the sources as drafts: what each says of its problem, and where it stands.

One row is in memory at a time. A row that says nothing usable is left out with its place and the rule it
breaks.

Not covered: whether the statement is any good (`tessy.curate.examining`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tessy.artifacts import read_parquet
from tessy.config.base import MINIATURE, part
from tessy.config.problems import ProblemSource
from tessy.config.sources import Source
from tessy.curate.presets import PRESETS, Described, Reference, day, listed, text
from tessy.records import Problem
from tessy.sources import LeftOut, Table, Unfit, id_of, layout_of, open_table, prompt_of

TEXT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "license": ("license", "licence"),
    "origin": ("source", "platform", "dataset", "origin"),
    "difficulty": ("difficulty", "rating", "level"),
    "language": ("language", "lang"),
    "date": ("date", "contest_date", "released", "created"),
}
"""Columns in which a table without a preset may say more of a problem, the likeliest first."""
_TOPICS = ("topics", "tags", "topic", "domain")


OpenTable = Callable[[Source, str], Table]
"""What opens the table that the recipe's field names, at one commit."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A row that has a statement. `origin` is `file:row`; `unread` says instead why there is none."""

    source: str
    origin: str
    position: int
    """The row's number in its source, from 0."""
    statement: Described
    tags: Mapping[str, str] = field(default_factory=dict)
    unread: Unfit | None = None

    @property
    def id(self) -> str:
        """The row's own name, or one made from its content and its position."""
        return self.statement.id or made_id(self.statement.prompt, self.position)


def made_id(prompt: str, position: int) -> str:
    """An id from content and position: the same text twice has two."""
    content = hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{content}-{position}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A source with its tables; `said` is what was chosen where the recipe did not say it."""

    source: ProblemSource
    tables: tuple[Table, ...]
    read: Callable[[Mapping[str, Any]], Described]
    columns: tuple[str, ...] | None
    """Those to read; None for all."""
    said: tuple[str, ...] = ()

    @property
    def commits(self) -> tuple[str, ...]:
        return tuple(f"{t.source.source}@{t.commit}" for t in self.tables if t.commit)


class _Every(LeftOut):
    """Keeps the place of every row that cannot be read, not only of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Unfit]] = []

    def add(self, origin: str, why: Unfit) -> None:
        super().add(origin, why)
        self.found.append((origin, why))

    def taken(self) -> list[tuple[str, Unfit]]:
        found, self.found = self.found, []
        return found


def opened(source: ProblemSource, field: str, tests: bool, table_of: OpenTable = open_table) -> Opened:
    """The tables of `source`, which the recipe's `field` names; raises `UserError` where they are missing."""
    if source.preset is None:
        table = table_of(_plain(source), field)
        read, said = _reader(source, table, field)
        return Opened(source, (table,), read, None, (*table.said, *said))
    preset = PRESETS[source.preset]
    parts = [part for part in preset.parts if _wanted(source, part)]
    tables = []
    for subset, split in parts:
        place = source.source or preset.hub
        more = {"source": place, "subset": subset, "split": split}
        only = Path(place).is_file()
        tables.append(table_of(_plain(source, **({"source": place} if only else more)), field))
        if only:
            break
    columns = (*preset.columns, *(preset.test_columns if tests else ()))
    said = tuple(line for table in tables for line in table.said)
    return Opened(replace_licence(source, preset.license), tuple(tables), preset.read, columns, said)


def replace_licence(source: ProblemSource, licence: str) -> ProblemSource:
    return source if source.licence else source.model_copy(update={"licence": licence})


def _wanted(source: ProblemSource, part: tuple[str | None, str]) -> bool:
    subset, split = part
    return source.subset in (None, subset) and source.split in (None, split)


def _plain(one: ProblemSource, **changes: Any) -> Source:
    return part(Source, one).model_copy(update=changes)


def _reader(
    source: ProblemSource, table: Table, field: str
) -> tuple[Callable[[Mapping[str, Any]], Described], tuple[str, ...]]:
    """How rows of a table without a preset are read: by columns named or guessed from the first rows."""
    rows = [row.values for row in table.first_rows()]
    layout = layout_of(source.columns, rows, field)
    present = {name.lower(): name for row in rows for name in row}
    taken = {layout.id, layout.messages, layout.prompt, layout.response, layout.thinking, layout.system}
    columns = {
        what: found
        for what, names in TEXT_COLUMNS.items()
        if (found := next((present[n] for n in names if n in present and present[n] not in taken), None))
    }
    topics = next((present[name] for name in _TOPICS if name in present), None)
    said = [*layout.guessed, *(f"{what} is column {column!r}" for what, column in columns.items())]

    def read(values: Mapping[str, Any]) -> Described:
        told = {what: _told(values, column) for what, column in columns.items()}
        return Described(
            prompt_of(values, layout),
            id=id_of(values, layout, ""),
            license=told.get("license", ""),
            origin=told.get("origin", ""),
            topics=listed(values.get(topics)) if topics else (),
            difficulty=told.get("difficulty", ""),
            language=told.get("language", ""),
            date=day(told.get("date", "")),
        )

    return read, tuple(said + ([f"topics are column {topics!r}"] if topics else []))


def _told(values: Mapping[str, Any], column: str) -> str:
    """What a column says, where that is text; a table may use the name for something else."""
    value = values.get(column)
    if isinstance(value, datetime | date):
        return value.isoformat()
    try:
        return text(values, column)
    except Unfit:
        return ""


def drafts(opened_source: Opened, known: Mapping[Reference, str] | None = None) -> Iterator[Draft]:
    """Every row of a source in order, with those that cannot be read in their places.

    `known` has the statements that stand in other sets.
    """
    source, position = opened_source.source, 0
    for table in opened_source.tables:
        left_out = _Every()
        # Two parts of a set may have files of one name.
        prefix = f"{table.source.split}/" if len(opened_source.tables) > 1 else ""
        for row in table.rows(left_out, opened_source.columns):
            yield from _unread(source, left_out, prefix, position)
            try:
                statement = _resolved(opened_source.read(row.values), known)
                yield Draft(source.title, prefix + row.origin, position, _complete(statement, source))
            except Unfit as why:
                yield Draft(source.title, prefix + row.origin, position, Described(""), unread=why)
            position += 1
        yield from _unread(source, left_out, prefix, position)


def _unread(source: ProblemSource, left_out: _Every, prefix: str, position: int) -> Iterator[Draft]:
    for origin, why in left_out.taken():
        yield Draft(source.title, prefix + origin, position, Described(""), unread=why)


def _complete(statement: Described, source: ProblemSource) -> Described:
    """With the source's licence and origin where the row has none."""
    return replace(
        statement,
        license=statement.license or source.licence,
        origin=statement.origin or source.origin,
    )


def _resolved(statement: Described, known: Mapping[Reference, str] | None) -> Described:
    if statement.reference is None:
        return statement
    at = statement.reference
    found = (known or {}).get(at)
    if not found:
        raise Unfit("its statement is missing in another set", f"{at.preset}, {at.split}, row {at.index}")
    return replace(statement, prompt=found)


@dataclass(frozen=True, slots=True)
class Supply:
    """A source as the passes see it: `drafts` begins at its first row each time it is called. `total` is how
    many there may be, 0 where that is not known."""

    source: ProblemSource
    drafts: Callable[[], Iterator[Draft]]
    said: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    total: int = 0


def of_tables(found: Opened, folder: Path, field: str) -> Supply:
    """The supply of an opened source. What its rows refer to in other sets is looked up in `folder`."""

    def every() -> Iterator[Draft]:
        if found.source.preset not in REFERRING:
            return drafts(found)
        from tessy.curate.references import Statements

        known = Statements(folder, found.source, field)
        known.find(_references(found))
        return drafts(found, known)

    total = sum(table.count() or 0 for table in found.tables)
    return Supply(found.source, every, found.said, found.commits, total)


REFERRING = ("opencodereasoning", "opencodereasoning2")


def _references(found: Opened) -> Iterator[Reference]:
    for table in found.tables:
        for row in table.rows(LeftOut(), found.columns):
            try:
                reference = found.read(row.values).reference
            except Unfit:
                continue
            if reference is not None:
                yield reference


def miniature(problems: Path) -> Supply:
    """The miniature's training problems, which `problems` has."""

    def every() -> Iterator[Draft]:
        for position, problem in enumerate(read_parquet(problems, Problem)):
            statement = Described(
                problem.prompt, id=problem.problem_id, language=problem.language, origin=MINIATURE
            )
            origin = f"{problems.name}:{position + 1}"
            yield Draft(MINIATURE, origin, position, statement, tags=problem.tags)

    return Supply(ProblemSource(source=MINIATURE, name=MINIATURE), every)


def plain_texts(title: str, texts: Callable[[], Iterable[str]]) -> Supply:
    """Texts without anything else to say of them, for an audit."""

    def every() -> Iterator[Draft]:
        for position, prompt in enumerate(texts()):
            yield Draft(title, f"{title}:{position + 1}", position, Described(prompt))

    return Supply(ProblemSource(source=MINIATURE, name=title), every)
