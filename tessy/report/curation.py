"""What the page says of a curation: its record's schema, and a page of its own for `tessy curate`.

Texts of problems are untrusted: the template escapes everything. Not covered: making the record
(`tessy.curate.reporting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field

from tessy.artifacts import write_text
from tessy.report.templates import HERE, template

Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class Example(_Record):
    """A row that a rule left out, its text shortened."""

    source: str
    origin: str
    evidence: str
    text: str


class Step(_Record):
    """A rule, the rows that it left out, and those that are left then."""

    rule: str
    removed: Count
    left: Count
    remedy: str
    examples: list[Example]


class SourceRow(_Record):
    """A source; `said` is what was chosen where the recipe did not say it."""

    name: str
    read: Count
    kept: Count
    licence: str
    commits: list[str]
    said: list[str]


class MatchRow(_Record):
    """A row that is a benchmark's test by a rule, both texts shortened. `times` is how often it occurred."""

    benchmark: str
    test_id: str
    rule: str
    score: float
    source: str
    origin: str
    text: str
    statement: str
    times: Count = 1


class Occurrences(_Record):
    """How many of a benchmark's tests occur."""

    tests: Count
    found: Count


class Audit(_Record):
    """What of the benchmarks is in texts that a model has read; nothing was removed for it."""

    name: str
    texts: Count
    benchmarks: dict[str, Occurrences]
    matches: list[MatchRow]

    @property
    def found(self) -> int:
        return sum(one.found for one in self.benchmarks.values())


class CurationRecord(_Record):
    """`curation.json`. `lengths` are words at quantiles, of usable and of kept rows."""

    funnel: list[Step]
    sources: list[SourceRow]
    lengths: dict[str, dict[str, float]]
    repairs: dict[str, Count]
    notes: dict[str, Count]
    benchmarks: dict[str, Count]
    checked: bool
    matches: list[MatchRow]
    distinct: Count
    samples: Count
    held_out: Count
    audits: list[Audit] = []

    @property
    def read(self) -> int:
        return self.funnel[0].left

    @property
    def matches_by_rule(self) -> dict[str, list[MatchRow]]:
        """The matches of the problems, by the rule that found them."""
        out: dict[str, list[MatchRow]] = {}
        for match in self.matches:
            out.setdefault(match.rule, []).append(match)
        return out


def write_page(record: Mapping[str, Any], title: str, path: Path) -> None:
    """Write a page about one curation; raises `ValueError` where the record is not one."""
    page = template("curation_page.html.jinja").render(
        curation=CurationRecord.model_validate(dict(record)),
        title=title,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )
    write_text(path, page)
