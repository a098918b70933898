"""The recipe's section `problems`: where training prompts come from, and what becomes of them.

Not covered: the thresholds of the rules (`tessy.config.curation`), and selection (`tessy.config.selection`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from tessy.config.base import MINIATURE, Name, Positive, Rate, part
from tessy.config.curation import Rules
from tessy.config.selection import Selection
from tessy.config.sources import Columns, Source

PresetName = Literal[
    "openthoughts3", "opencodereasoning", "opencodereasoning2", "taco", "apps", "codecontests", "codeforces",
    "deepmath", "tessy_code", "tessy_math", "tessy_supergpqa",
]  # fmt: skip
"""Public sets whose layout is known (`tessy.curate.presets`)."""
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)


class ProblemSource(Source):
    """One source of problems among several. Its `source` may also be `miniature`; with a `preset`, it is a
    copy of that set, and without it that set is read from the hub."""

    name: Name | None = None
    """What the report and the ids call it; the preset, or the end of `source`, where it is not given."""
    preset: PresetName | None = None
    """Read it as this public set is laid out."""
    references: dict[PresetName, str] = Field(default_factory=dict)
    """OpenCodeReasoning: copies (or hub ids) of the sets in which its statements stand, where not the
    hub's."""
    origin: str = ""
    """Where its problems come from, if its rows do not say it."""
    cap: Positive | None = None
    """At most this many distinct problems of it, after cleaning and duplicates."""
    weight: Rate = 1.0
    """Its part of the selected rows, relative to the other sources' (`selection.problems`, `.samples`)."""

    @property
    def title(self) -> str:
        """The name that the report and ids use."""
        return self.name or self.preset or re.sub(r"[^a-z0-9_.-]", "-", Path(self.source).name.lower())

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if not self.source and self.preset is None:
            raise ValueError(
                "neither `source` nor `preset` is given; name a file, a folder, a hub id or a set"
            )
        if self.preset is not None and self.columns != Columns():
            raise ValueError(f"preset {self.preset} knows its columns; remove `columns`, or the preset")
        if self.references and self.preset not in ("opencodereasoning", "opencodereasoning2"):
            raise ValueError("`references` are for opencodereasoning and opencodereasoning2; remove them")
        return self


class Curation(Rules):
    """Problems are cleaned, told apart, kept away from the benchmarks, and selected."""

    sources: tuple[ProblemSource, ...] = ()
    """Where problems come from; empty where `problems.source` says it."""
    fit_contexts: bool = True
    """Leave out prompts that do not fit into the recipe's contexts: the student's is `train.max_length` less
    `synthesis.max_tokens`, the teacher's what its checkpoint holds less the same."""
    check_benchmarks: bool = True
    """Compare with the recipe's benchmarks. Off, nothing is known about leaks, and the report says so."""
    audit: tuple[ProblemSource, ...] = ()
    """Texts that the models were trained on before, to be compared with the benchmarks, too. Nothing is
    removed: the report says which tests are in them. `miniature` stands for both models' pre-training."""
    examples: Positive = 20
    """Examples of what each rule left out that the report shows."""
    selection: Selection = Selection()

    @property
    def every_source(self) -> tuple[ProblemSource, ...]:
        return (*self.sources, *self.audit)

    @model_validator(mode="after")
    def _sources_differ(self) -> Self:
        for sources in (self.sources, self.audit):
            titles = [source.title for source in sources]
            if len(set(titles)) != len(titles):
                raise ValueError(f"sources {titles}: two have one name; give each a `name` of its own")
        weighted = any(source.weight != 1 for source in self.sources)
        if weighted and self.selection.problems is None and self.selection.samples is None:
            raise ValueError(
                "sources have a `weight`, and nothing says of how many rows; set selection.problems or "
                "selection.samples"
            )
        return self

    @model_validator(mode="after")
    def _audit_needs_benchmarks(self) -> Self:
        if self.audit and not self.check_benchmarks:
            raise ValueError(
                "`audit` compares with the benchmarks, and check_benchmarks is false; change one"
            )
        return self


class Problems(Source):
    """Where training prompts come from; their responses are always synthesised. `source` may also be
    `miniature`, and is not given where `curation.sources` says it. With `curation`, `limit` is that of its
    result."""

    too_long: Literal["leave_out", "refuse"] = "leave_out"
    """What becomes of a prompt that leaves no room for a response of `synthesis.max_tokens` in
    `train.max_length`, or in what a model can read at once: it is left out and counted, or nothing is run.
    With `curation` it is `fit_contexts` that says so."""
    curation: Curation | None = None
    """Clean, tell apart, keep away from the benchmarks and select. Without it, prompts are used as they
    are."""

    @property
    def named(self) -> Mapping[str, ProblemSource]:
        """The sources to be curated, by title; none without `curation`."""
        if self.curation is None:
            return {}
        if not self.source:
            return {source.title: source for source in self.curation.sources}
        own = ProblemSource(**{**dict(part(Source, self)), "limit": None}, name=_title(self.source))
        return {own.title: own}

    @property
    def uses_miniature(self) -> bool:
        audited = self.curation.every_source if self.curation else ()
        return self.source == MINIATURE or any(one.source == MINIATURE for one in audited)

    @model_validator(mode="after")
    def _come_from_one_place(self) -> Self:
        several = self.curation is not None and bool(self.curation.sources)
        if several and self.source:
            raise ValueError("both `source` and `curation.sources` are given; remove one of them")
        if not several and not self.source:
            raise ValueError("`source` is missing; name a file or 'miniature', or list `curation.sources`")
        return self


FIELD = "problems.curation"


def field_of(problems: Problems, source: ProblemSource) -> str:
    """The recipe's field that names a source, for messages."""
    return "problems" if problems.source else f"{FIELD} {source.title}"


def _title(source: str) -> str:
    return re.sub(r"[^a-z0-9_.-]", "-", Path(source).stem.lower()).lstrip("_.-") or "problems"
