"""What the scores say about the paper's claim, in sentences computed from the data.

The claim is an ordering on in-domain benchmarks: TESSY > Student > Teacher-Only. A step of it is
settled by the interval of the paired difference where the results have one, and otherwise only if
the two 95 % intervals do not overlap, which is the stricter rule. Not covered: correction for
multiple benchmarks, and the size of the effect in the paper, which used other models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tessy.report.contract import Paired, Results, Row

ORDERING = ("TESSY", "Student", "Teacher-Only")
CLAIM = (
    "Fine-tuning a reasoning model on its teacher’s traces can cost it skill, for it must relearn the "
    "teacher’s style along with the content; traces in which the student writes the style and the teacher "
    "the content improve it instead: TESSY > Student > Teacher-Only."
)

Outcome = Literal["above", "open", "below"]
Word = Literal["seen", "partly seen", "not settled", "not seen", "not judged"]


@dataclass(frozen=True, slots=True)
class Step:
    """Two neighbours in the ordering on one benchmark; `outcome` compares `upper` with `lower`."""

    upper: Row
    lower: Row
    paired: Paired | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class BenchmarkFinding:
    """The steps of the ordering on one benchmark, and whether the ordering was observed."""

    benchmark: str
    steps: tuple[Step, ...]
    word: Word

    @property
    def sentence(self) -> str:
        """One sentence with the steps and their differences."""
        return "; ".join(map(step_text, self.steps)) + "."


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the claim holds: one word, one sentence, and the evidence by benchmark."""

    word: Word
    headline: str
    in_domain: tuple[BenchmarkFinding, ...]
    out_of_domain: tuple[BenchmarkFinding, ...]


def find(results: Results) -> Finding:
    """Compare the methods of the ordering on every benchmark that has all three."""
    findings = [finding for name in _benchmarks(results.rows) if (finding := _on(results, name))]
    outside = tuple(f for f in findings if f.benchmark in results.out_of_domain)
    inside = tuple(f for f in findings if f not in outside)
    word = _overall([f.word for f in inside])
    return Finding(word, _headline(word, inside), inside, outside)


def step_text(step: Step) -> str:
    """The difference of the two methods, and whether the data settle it."""
    points = 100 * (step.paired.difference if step.paired else step.upper.value - step.lower.value)
    if round(points, 1) == 0:
        place = f"{step.upper.method} equals {step.lower.method}"
    else:
        side = "above" if points > 0 else "below"
        place = f"{step.upper.method} is {abs(points):.1f} points {side} {step.lower.method}"
    return f"{place} ({_evidence(step)})"


def _benchmarks(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.benchmark for row in rows))


def _on(results: Results, benchmark: str) -> BenchmarkFinding | None:
    """The finding for the benchmark's first metric, the one its publishers report."""
    rows = [row for row in results.rows if row.benchmark == benchmark]
    by_method = {row.method: row for row in rows if row.metric == rows[0].metric}
    if not all(method in by_method for method in ORDERING):
        return None
    steps = tuple(
        _step(by_method[upper], by_method[lower], results.paired) for upper, lower in pairwise(ORDERING)
    )
    return BenchmarkFinding(benchmark, steps, _ordering(steps))


def _step(upper: Row, lower: Row, paired: Iterable[Paired]) -> Step:
    cell = (upper.method, lower.method, upper.benchmark, upper.metric)
    pair = next((p for p in paired if (p.method, p.against, p.benchmark, p.metric) == cell), None)
    if pair:
        above, below = pair.ci_low > 0, pair.ci_high < 0
    else:
        above, below = upper.ci_low > lower.ci_high, upper.ci_high < lower.ci_low
    return Step(upper, lower, pair, "above" if above else "below" if below else "open")


def _ordering(steps: Iterable[Step]) -> Word:
    outcomes = {step.outcome for step in steps}
    if "below" in outcomes:
        return "not seen"
    return "seen" if outcomes == {"above"} else "not settled"


def _overall(words: list[Word]) -> Word:
    if not words:
        return "not judged"
    if len(set(words)) == 1:
        return words[0]
    return "partly seen" if "seen" in words else "not seen"


def _evidence(step: Step) -> str:
    if step.paired:
        low, high = 100 * step.paired.ci_low, 100 * step.paired.ci_high
        settled = "not settled, as it spans 0" if step.outcome == "open" else "settled"
        return f"paired 95 % interval {low:+.1f} to {high:+.1f}: {settled}".replace("-", "−")
    return "95 % intervals overlap: not settled" if step.outcome == "open" else "95 % intervals apart"


def _headline(word: Word, findings: tuple[BenchmarkFinding, ...]) -> str:
    if word == "not judged":
        return f"No in-domain benchmark has scores for all of {_listed(list(ORDERING))}."
    reading = {
        "seen": "every step settled at 95 % on {}",
        "not settled": "at least one step within the uncertainty on {}",
        "not seen": "at least one step settled the other way on {}",
    }
    clauses = []
    for one, phrase in reading.items():
        names = [finding.benchmark for finding in findings if finding.word == one]
        if names:
            clauses.append(phrase.format(_listed(names)))
    sentence = "; ".join(clauses) + "."
    return sentence[0].upper() + sentence[1:]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
