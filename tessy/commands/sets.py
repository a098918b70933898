"""Training sets as `tessy diagnose` takes them: our own trajectories, or tables that others made.

Not covered: several exchanges in a conversation, which are left out and counted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tessy.artifacts import read_parquet
from tessy.config.sources import Source
from tessy.diagnosis.responses import Response, from_trajectory
from tessy.errors import UserError
from tessy.layout import TRAJECTORIES
from tessy.records import Trajectory
from tessy.sources import Exchange, LeftOut, Unfit, exchange_of, id_of, layout_of, open_table, parts_of

FIELD = "dataset"
NO_THINKING = "no thinking"
"""The rule of `parts_of` that a response without thinking breaks."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Some of a set's responses, in its order; `rows` is how many it has, `left_out` counts those that could
    not be read, by reason."""

    responses: list[Response]
    rows: int
    left_out: dict[str, int] = field(default_factory=dict)


def sampled(dataset: str, limit: int, seed: int) -> Sampled:
    """`limit` responses of a set, drawn evenly; the whole set is read once, and never held in memory."""
    left_out = LeftOut()
    rng, kept, rows = random.Random(seed), list[tuple[int, Response]](), 0
    for response in _responses(dataset, left_out):
        rows += 1
        if len(kept) < limit:
            kept.append((rows, response))
        elif (place := rng.randrange(rows)) < limit:
            kept[place] = (rows, response)
    if not kept:
        raise UserError(f"{dataset}: no response in it; {'; '.join(left_out.lines()) or 'it is empty'}")
    responses = [response for _, response in sorted(kept, key=lambda one: one[0])]
    return Sampled(responses, rows + left_out.rows, dict(left_out.counts))


def _responses(dataset: str, left_out: LeftOut) -> Iterator[Response]:
    path = Path(dataset)
    file = path / TRAJECTORIES if path.is_dir() else path
    if file.is_file() and file.suffix == ".parquet" and _holds_trajectories(file):
        return map(from_trajectory, read_parquet(file, Trajectory))
    return _foreign(Source(source=dataset), left_out)


def _holds_trajectories(file: Path) -> bool:
    import pyarrow.parquet as pq

    return {"spans", "student_token_ids"} <= set(pq.read_schema(file).names)


def _foreign(source: Source, left_out: LeftOut) -> Iterator[Response]:
    """The responses of somebody else's table; a row that cannot be used is added to `left_out`."""
    table = open_table(source, FIELD)
    layout = layout_of(source.columns, (row.values for row in table.first_rows()), FIELD)
    for row in table.rows(left_out):
        try:
            exchange = exchange_of(row.values, layout)
            thinking, answer = _parts(exchange)
            name = id_of(row.values, layout, row.origin)
        except Unfit as why:
            left_out.add(row.origin, why)
            continue
        # The prompt tells which responses are to the same problem; ids of such sets seldom do.
        yield Response(name, exchange.prompt, exchange.prompt, thinking, answer, exchange.system)


def _parts(exchange: Exchange) -> tuple[str, str]:
    """Thinking and answer; a response without thinking is an answer, which is counted as a fault later."""
    try:
        return parts_of(exchange)
    except Unfit as why:
        if why.rule != NO_THINKING:
            raise
        return "", exchange.response
