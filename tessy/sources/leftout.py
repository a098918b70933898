"""What was left out of a table, by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

EXAMPLES = 5
"""Places that are kept for each rule."""


class Unfit(ValueError):
    """A row that breaks `rule`: a few words, the same for all such rows. `detail` is about this one."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule, self.detail = rule, detail


class LeftOut:
    """Rows that were left out: how many by rule, and the first places of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, origin: str, why: Unfit) -> None:
        """Count the row at `origin`."""
        self.counts[why.rule] += 1
        kept = self.examples.setdefault(why.rule, [])
        if len(kept) < EXAMPLES:
            kept.append(f"{origin}: {why.detail}" if why.detail else origin)

    @property
    def rows(self) -> int:
        return self.counts.total()

    def lines(self) -> Iterable[str]:
        """A sentence for each rule, the most frequent first."""
        for rule, times in self.counts.most_common():
            yield f"{times} rows left out, {rule}; the first: {self.examples[rule][0]}"

    def values(self) -> dict[str, Any]:
        """The counts and examples as plain values."""
        return {"counts": dict(self.counts), "examples": {key: list(at) for key, at in self.examples.items()}}

    def add_all(self, values: Mapping[str, Any]) -> None:
        """Add what another one's `values` gave."""
        self.counts.update(values["counts"])
        for rule, places in values["examples"].items():
            kept = self.examples.setdefault(rule, [])
            kept += places[: EXAMPLES - len(kept)]
