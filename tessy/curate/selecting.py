"""Selection among the problems that stay: by models' ratings, by the student's pass rate, by balance;
sampling.

Models are asked through the engines and journals that annotations and responses use, so a killed stage asks
nothing twice. Not covered: the pure part (`tessy.curation_rules.selection`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tessy.config.problems import Curation
from tessy.config.selection import Balance, PassRate, Rating
from tessy.curate.deciding import Decided
from tessy.curate.shards import Shards, Stored
from tessy.curation_rules.selection import balanced, rank, repetitions, shares

RATED, UNRATED, PASSED, UNTESTED, BALANCE, NUMBER = (
    "rating", "no_rating", "pass_rate", "no_tests", "balance", "number",
)  # fmt: skip
Ask = Callable[[Rating, Mapping[str, str]], Mapping[str, float]]
"""Ratings by key of prompts by key; keys without a readable answer are missing."""
Try = Callable[[PassRate, Mapping[str, tuple[str, Sequence[tuple[str, str]]]]], Mapping[str, float]]
"""Pass rates by key of (prompt, tests) by key."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Row numbers in the order of the output, each as often as it is drawn; `left_out` has the rule and the
    evidence for the others, `told` the ratings and pass rates by row. `steps` are (name, rows that stay)."""

    order: list[int]
    left_out: dict[int, tuple[str, str]] = field(default_factory=dict)
    told: dict[int, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asking:
    """How models are asked; None where the recipe asks none."""

    ratings: Ask | None = None
    pass_rates: Try | None = None


def select(
    shards: Shards, decided: Decided, curation: Curation, seed: int, weights: Mapping[str, float], how: Asking
) -> Chosen:
    """What is trained on, in order: by rank where a number is drawn, otherwise as in the sources."""
    settings = curation.selection
    left = decided.rows[decided.staying].tolist()
    digests = {
        int(row): decided.digests[place].tobytes() for place, row in zip(decided.staying, left, strict=True)
    }
    chosen = Chosen(left)
    for rating in settings.ratings:
        assert how.ratings is not None
        left = _by_rating(shards, left, rating, how.ratings, chosen)
    if settings.pass_rate is not None:
        assert how.pass_rates is not None
        left = _by_pass_rate(shards, left, settings.pass_rate, how.pass_rates, chosen)
    if not (settings.balance or settings.problems or settings.samples):
        return Chosen(left, chosen.left_out, chosen.told)
    ordered = sorted(left, key=lambda row: rank(digests[row], seed))
    titles = {int(row): shards.titles[decided.sources[place]] for place, row in zip(
        decided.staying, decided.rows[decided.staying].tolist(), strict=True)}  # fmt: skip
    if settings.balance:
        ordered = _by_balance(shards, ordered, settings.balance, chosen)
    if settings.problems is not None:
        ordered = _by_number(ordered, titles, weights, settings.problems, chosen)
    often = repetitions([titles[row] for row in ordered], weights, settings.samples, settings.repeats)
    rounds = range(max(often, default=0))
    order = [row for turn in rounds for row, times in zip(ordered, often, strict=True) if times > turn]
    for row, times in zip(ordered, often, strict=True):
        if not times:
            chosen.left_out[row] = (NUMBER, f"selection.samples {settings.samples}")
    return Chosen(order, chosen.left_out, chosen.told)


def _key(row: int) -> str:
    return f"row-{row}"


def _by_rating(shards: Shards, rows: list[int], rating: Rating, ask: Ask, chosen: Chosen) -> list[int]:
    prompts = {_key(row): one.prompt for row, one in shards.take(rows, ["prompt"]).items()}
    found, left = ask(rating, prompts), []
    for row in rows:
        value = found.get(_key(row))
        if value is None:
            chosen.left_out[row] = (UNRATED, f"{rating.name}: no number in {rating.attempts} answers")
            continue
        chosen.told.setdefault(row, {})[f"rating_{rating.name}"] = value
        if rating.minimum <= value <= rating.maximum:
            left.append(row)
        else:
            chosen.left_out[row] = (RATED, f"{rating.name} {value:g}")
    return left


def _by_pass_rate(
    shards: Shards, rows: list[int], settings: PassRate, rates: Try, chosen: Chosen
) -> list[int]:
    asked = {
        _key(row): (one.prompt, [(str(given), str(out)) for given, out in json.loads(one.values["tests"])])
        for row, one in shards.take(rows, ["prompt", "tests"]).items()
        if one.values["tests"]
    }
    found, left = rates(settings, asked) if asked else {}, []
    for row in rows:
        value = found.get(_key(row))
        if value is None:
            if settings.untested == "keep":
                left.append(row)
            else:
                chosen.left_out[row] = (UNTESTED, "it has no tests")
            continue
        chosen.told.setdefault(row, {})["pass_rate"] = value
        if settings.minimum <= value <= settings.maximum:
            left.append(row)
        else:
            chosen.left_out[row] = (PASSED, f"{value:.3f}")
    return left


def _by_balance(shards: Shards, rows: list[int], wanted: Sequence[Balance], chosen: Chosen) -> list[int]:
    columns = ["from", "topics", "difficulty", "language"]
    found = shards.take(rows, columns)
    traits = [trait_values(found[row]) for row in rows]
    places = balanced(traits, {one.by: one.most for one in wanted})
    stays = set(places)
    for place, row in enumerate(rows):
        if place not in stays:
            said = ", ".join(f"{one.by} {traits[place][one.by]!r}" for one in wanted)
            chosen.left_out[row] = (BALANCE, said)
    return [rows[place] for place in places]


def trait_values(row: Stored) -> dict[str, str]:
    """What may be balanced, of one row; the first topic counts."""
    values: Mapping[str, Any] = row.values
    return {
        "source": row.source,
        "origin": values["from"],
        "topic": (values["topics"] or [""])[0],
        "difficulty": values["difficulty"],
        "language": values["language"],
    }


def _by_number(
    rows: list[int], titles: Mapping[int, str], weights: Mapping[str, float], wanted: int, chosen: Chosen
) -> list[int]:
    present = {title: sum(titles[row] == title for row in rows) for title in weights}
    parts = shares(wanted, {t: w for t, w in weights.items() if present[t]}, present)
    used, left = dict.fromkeys(weights, 0), []
    for row in rows:
        title = titles[row]
        if used[title] < parts[title]:
            used[title] += 1
            left.append(row)
        else:
            chosen.left_out[row] = (NUMBER, f"selection.problems {wanted}")
    return left


def blocks(order: Sequence[int], size: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """The order in pieces of at most `size`."""
    return [np.array(order[start : start + size], np.int64) for start in range(0, len(order), size)]
