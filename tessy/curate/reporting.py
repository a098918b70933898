"""What a curation leaves beside its problems: the funnel, examples of what was left out, every match.

`curation.json` is what the report shows; `left_out.parquet` has one row for each row that was left out, and
`matches.parquet` the whole texts of every match.

Not covered: how it looks (`tessy.report.curation`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessy.curate.deciding import BENCHMARK, CAP, EMBEDDING, HELD_OUT, NEAR, SAME, Decided
from tessy.curate.examining import UNREADABLE, WINDOW
from tessy.curate.remedies import REMEDIES
from tessy.curate.selecting import BALANCE, NUMBER, PASSED, RATED, UNRATED, UNTESTED, Chosen
from tessy.curate.shards import Shards, Stored
from tessy.curation_rules import cleaning
from tessy.curation_rules.decontamination import Statement
from tessy.curation_rules.selection import rank

STEPS = (
    UNREADABLE, *cleaning.RULES, WINDOW, SAME, NEAR, EMBEDDING, BENCHMARK, HELD_OUT, CAP, UNRATED, RATED,
    UNTESTED, PASSED, BALANCE, NUMBER,
)  # fmt: skip
"""Rules in the order in which they are applied."""
SHOWN = 1500
"""Characters of a text in the report; the tables have all of it."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass
class Tally:
    """Counts while every row is gone through once."""

    removed: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[bytes, dict[str, Any]]]] = field(default_factory=dict)

    def add(self, row: Stored, rule: str, evidence: str, examples: int) -> None:
        self.read[row.source] += 1
        self.repairs.update(row.values["repairs"])
        self.notes.update(row.values["notes"])
        if not rule:
            self.kept[row.source] += 1
            return
        self.removed[rule] += 1
        # The first by a hash of their places: the same ones in every run, from all over the sources.
        place = rank(f"{row.source}/{row.origin}".encode(), 0)
        kept = self.examples.setdefault(rule, [])
        shown = {
            "source": row.source,
            "origin": row.origin,
            "evidence": evidence,
            "text": shortened(row.prompt),
        }
        heapq.heappush(kept, (bytes(255 - byte for byte in place), shown))
        if len(kept) > examples:
            heapq.heappop(kept)

    def shown(self, rule: str) -> list[dict[str, Any]]:
        found = sorted(self.examples.get(rule, ()), key=lambda one: one[0], reverse=True)
        return [shown for _, shown in found]


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ({len(text) - SHOWN:,} more characters)"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The rule and the evidence for each row of all sources, from both passes and selection."""

    decided: Decided
    chosen: Chosen
    origins: Sequence[str]

    def of(self, row: Stored) -> tuple[str, str]:
        """The rule that leaves the row out, empty where it stays, and why."""
        if row.values["removed"]:
            return str(row.values["removed"]), str(row.values["evidence"])
        if row.number in self.chosen.left_out:
            return self.chosen.left_out[row.number]
        place = int(np.searchsorted(self.decided.rows, row.number))
        rule = str(self.decided.why[place])
        if rule in (SAME, NEAR, EMBEDDING):
            stays, similarity = int(self.decided.by[place]), float(self.decided.similarity[place])
            what = f"cosine {similarity:.3f}" if rule == EMBEDDING else f"similarity {similarity:.2f}"
            return rule, f"{self.origins[stays]} stands for it, {what}"
        if rule == BENCHMARK:
            matches = row.values["matches"]
            if not matches:
                return rule, "a duplicate of it is a benchmark's"
            return rule, f"{matches[0]['rule']}, {matches[0]['score']:.2f}"
        return rule, ""


def left_out(shards: Shards, verdicts: Verdicts, tally: Tally, examples: int) -> Iterator[dict[str, str]]:
    """A row for each row that is left out, in order; counts all of them in `tally`."""
    columns = ["origin", "id", "prompt", "removed", "evidence", "repairs", "notes", "matches"]
    for row in shards.rows(columns):
        rule, evidence = verdicts.of(row)
        tally.add(row, rule, evidence, examples)
        if rule:
            yield {
                "source": row.source,
                "origin": row.origin,
                "id": str(row.values["id"]),
                "rule": rule,
                "evidence": evidence,
            }


def matches(shards: Shards, decided: Decided, tests: Sequence[Statement]) -> Iterator[dict[str, Any]]:
    """Every match of a row that is no copy of another's text, with both texts."""
    copies = set(decided.rows[decided.why == SAME].tolist())
    for row in shards.rows(["origin", "prompt", "matches"]):
        for match in row.values["matches"] if row.number not in copies else ():
            test = tests[match["test"]]
            yield {
                "benchmark": test.benchmark,
                "test_id": test.test_id,
                "rule": match["rule"],
                "score": float(match["score"]),
                "source": row.source,
                "origin": row.origin,
                "text": row.prompt,
                "statement": test.text,
            }


def shown(match: Mapping[str, Any]) -> dict[str, Any]:
    """A match as the report shows it."""
    return {**match, "text": shortened(match["text"]), "statement": shortened(match["statement"])}


def funnel(tally: Tally) -> list[dict[str, Any]]:
    """How many rows are left after each rule that left any out."""
    left = tally.read.total()
    steps: list[dict[str, Any]] = [{"rule": "read", "removed": 0, "left": left, "remedy": "", "examples": []}]
    for rule in [*STEPS, *(set(tally.removed) - set(STEPS))]:
        if removed := tally.removed[rule]:
            left -= removed
            steps.append(
                {
                    "rule": rule,
                    "removed": removed,
                    "left": left,
                    "remedy": REMEDIES.get(rule, ""),
                    "examples": tally.shown(rule),
                }
            )
    return steps


def quantiles(values: NDArray[np.int64]) -> dict[str, float]:
    """Lengths at some quantiles; none where there are no rows."""
    if not len(values):
        return {}
    return {f"{q:g}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def lengths(shards: Shards, decided: Decided, chosen: Chosen) -> Mapping[str, dict[str, float]]:
    """Words of all usable rows, and of the distinct ones that are kept."""
    words = np.array([found if found is not None else -1 for found in shards.column("words")], np.int64)
    kept = np.array(sorted(set(chosen.order)), np.int64)
    return {"usable": quantiles(words[decided.rows]), "kept": quantiles(words[kept] if len(kept) else kept)}
