"""The passes of a curation over its sources, each of which continues where a kill stopped it.

The first looks at every text once and leaves shards; the second decides from their arrays; writing reads the
texts of what stays. Memory: a few shards of text in the first and last, 600 bytes for each row in the second.

Not covered: the rules (`tessy.curation_rules`), and what is said about the result (`tessy.curate.reporting`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from tessy.artifacts import replacing, write_parquet
from tessy.config.curation import Duplicates
from tessy.config.problems import Curation, ProblemSource
from tessy.curate import reporting, writing
from tessy.curate.deciding import HELD_OUT as KEPT_OUT
from tessy.curate.deciding import Decided, decide
from tessy.curate.embedding import Embedder, near
from tessy.curate.examining import Rulebook, examiners
from tessy.curate.reading import Supply
from tessy.curate.selecting import NUMBER, Chosen
from tessy.curate.shards import Shards, in_chunks
from tessy.curation_rules.chunks import Sample
from tessy.curation_rules.decontamination import BenchmarkIndex, Statement
from tessy.curation_rules.signatures import NONE, boilerplate
from tessy.curation_rules.text import Hashes
from tessy.layout import HELD_OUT, LEFT_OUT_ROWS, MATCHES, PROBLEMS
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig

OFTEN = 4
"""Times the average from which on a repetition is spoken of."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the first pass left, and the benchmarks it compared with."""

    shards: Shards
    index: BenchmarkIndex | None
    common: Hashes
    """Shingles that make no duplicates."""


def first(
    job: Job[StageConfig],
    sources: Sequence[Supply],
    curation: Curation,
    tests: Sequence[Statement],
    tokens: Callable[[str], dict[str, int]],
) -> Found:
    """Examine every row of `sources`; shards that are there are not made again."""
    shards = Shards(job.work / "shards", [one.source.title for one in sources])
    index = BenchmarkIndex(tests, curation.decontamination) if tests else None
    common = boilerplate_of(job, sources, curation.duplicates)
    places = {test: place for place, test in enumerate(tests)}
    total, done = sum(one.total for one in sources), 0
    book = Rulebook(curation, index, tokens, common)
    with examiners(book, job.execution.threads) as examine:
        for position, supply in enumerate(sources):
            there = shards.of(position)
            behind = sum(map(shards.rows_of, there))
            done += behind
            if shards.finished(position).exists():
                continue
            chunks = in_chunks(islice(supply.drafts(), behind, None))
            for number, chunk in enumerate(examine(chunks), start=len(there)):
                shards.write(position, number, chunk, places)
                done += len(chunk.rows)
                job.progress(done, max(total, done), "rows examined", supply.source.title)
            shards.finished(position).touch()
    return Found(shards, index, common)


def boilerplate_of(job: Job[StageConfig], sources: Sequence[Supply], settings: Duplicates) -> Hashes:
    """The shingles that the rows of a source have in common, of all sources; every row is read once for that.

    A resumed stage finds them made.
    """
    if not (settings.near or settings.embedding) or settings.common_share == 1:
        return NONE
    made = job.work / "common.npy"
    if made.exists():
        return np.asarray(np.load(made), np.uint64)
    common, done, total = NONE, 0, sum(one.total for one in sources)
    for supply in sources:
        sample = Sample()
        for chunk in in_chunks(supply.drafts()):
            sample.add(draft.statement.prompt for draft in chunk if draft.unread is None)
            done += len(chunk)
            job.progress(done, max(total, done), "rows sampled", supply.source.title)
        common = np.union1d(common, boilerplate(sample.prompts, settings))
    with replacing(made) as whole:
        np.save(whole, common)
    return common


def second(
    job: Job[StageConfig],
    found: Found,
    curation: Curation,
    sources: Sequence[ProblemSource],
    seed: int,
    embedder: Embedder | None = None,
) -> Decided:
    """What becomes of every row."""

    def progress(what: str, share: float) -> None:
        job.progress(round(share * 100), 100, "percent", what)

    by_vector = None
    if embedder is not None:
        by_vector = partial(near, job, embedder, curation.duplicates, found.common, found.shards)
    return decide(found.shards, curation, sources, seed, progress, by_vector)


def limited(chosen: Chosen, limit: int | None) -> Chosen:
    """The first `limit` rows, where there is a limit."""
    if limit is None:
        return chosen
    order = chosen.order[:limit]
    over = dict.fromkeys(set(chosen.order) - set(order), (NUMBER, f"problems.limit {limit}"))
    return replace(chosen, order=order, left_out={**chosen.left_out, **over})


def repeated(chosen: Chosen) -> Iterator[str]:
    """A warning where one problem is drawn many times more often than the others."""
    counts = Counter(chosen.order)
    most, average = max(counts.values()), len(chosen.order) / len(counts)
    if most > OFTEN * average:
        yield (
            f"a problem is there {most:,} times, where the average is {average:.1f}, because its source has "
            "few left; set selection.repeats"
        )


def summary(found: Found, decided: Decided, chosen: Chosen) -> str:
    """What was left out, by rule, in a few words."""
    counts = Counter(rule for rule in found.shards.column("removed") if rule)
    counts.update(rule for rule in decided.why.tolist() if rule)
    counts.update(rule for rule, _ in chosen.left_out.values())
    return (
        ", ".join(f"{rule} {times:,}" for rule, times in counts.most_common()) or "nothing; no rows were read"
    )


def write(
    job: Job[StageConfig],
    found: Found,
    curation: Curation,
    decided: Decided,
    chosen: Chosen,
    sources: Sequence[Supply],
    tests: Sequence[Statement],
) -> dict[str, Any]:
    """Write the problems and the tables beside them; returns the record for the report."""
    shards = found.shards
    verdicts = reporting.Verdicts(decided, chosen, list(shards.column("origin")))
    tally, ids = reporting.Tally(), writing.Ids(len(sources) > 1)
    gone = reporting.left_out(shards, verdicts, tally, curation.examples)
    _table(job, LEFT_OUT_ROWS, gone, "Rows that were left out: where they stand, and why.")
    matches = list(reporting.matches(shards, decided, tests))
    _table(job, MATCHES, iter(matches), "Rows that are problems of a benchmark, with both texts.")
    clusters = writing.clusters_of(decided)
    held = decided.rows[decided.why == KEPT_OUT].tolist()
    _table(
        job, HELD_OUT, writing.rows(shards, held, clusters, {}, ids), "Problems that are never trained on."
    )
    record = {
        "funnel": reporting.funnel(tally),
        "sources": [_source(one, tally) for one in sources],
        "lengths": reporting.lengths(shards, decided, chosen),
        "repairs": dict(tally.repairs.most_common()),
        "notes": dict(tally.notes.most_common()),
        "benchmarks": dict(Counter(test.benchmark for test in tests)),
        "checked": bool(tests),
        "matches": [reporting.shown(match) for match in matches],
        "distinct": len(set(chosen.order)),
        "samples": len(chosen.order),
        "held_out": len(held),
    }
    problems = writing.rows(shards, chosen.order, clusters, chosen.told, ids)
    write_parquet(job.out / PROBLEMS, problems, "problems", about(record), rows_at_once=writing.ROWS_AT_ONCE)
    return record


def _table(job: Job[StageConfig], name: str, rows: Any, about: str) -> None:
    """A table, if it has any rows."""
    first_one = next(rows, None)
    if first_one is not None:
        rest = (row for part in ([first_one], rows) for row in part)
        write_parquet(job.out / name, rest, name, about, rows_at_once=writing.ROWS_AT_ONCE)


def _source(supply: Supply, tally: reporting.Tally) -> dict[str, Any]:
    source = supply.source
    return {
        "name": source.title,
        "read": tally.read[source.title],
        "kept": tally.kept[source.title],
        "licence": source.licence,
        "commits": list(supply.commits),
        "said": list(supply.said),
    }


def about(record: Mapping[str, Any]) -> str:
    """The card's text: the funnel, and the sources with their terms."""
    steps = "\n".join(f"| {one['rule']} | {one['removed']:,} | {one['left']:,} |" for one in record["funnel"])
    sources = "\n".join(
        f"| {one['name']} | {one['read']:,} | {one['kept']:,} | {one['licence'] or 'not stated'} | "
        f"{', '.join(one['commits']) or 'local'} |"
        for one in record["sources"]
    )
    against = ", ".join(f"{name} ({number})" for name, number in record["benchmarks"].items())
    return (
        f"Prompts to synthesise responses for: {record['distinct']:,} distinct problems in "
        f"{record['samples']:,} rows. Compared with the tests of: {against or 'no benchmark'}.\n\n"
        f"| rule | left out | left |\n|---|---|---|\n{steps}\n\n"
        f"| source | read | kept | licence | commit |\n|---|---|---|---|---|\n{sources}\n\n"
        "Each row's own licence, where its source states one, is in the column `license`."
    )


def said(record: Mapping[str, Any], audits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The result in a few lines."""
    for step in record["funnel"][1:]:
        yield f"{step['removed']:,} left out by {step['rule']}: {step['remedy']}"
    yield f"{record['distinct']:,} distinct problems in {record['samples']:,} rows"
    if not record["checked"]:
        yield "no benchmark was compared with: nothing is known about leaks"
    for one in audits:
        for name, counts in one["benchmarks"].items():
            if counts["found"]:
                yield f"{counts['found']} of the {counts['tests']} tests of {name} occur in {one['name']}"
