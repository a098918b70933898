"""Rows of a given set as trajectories of the student, optionally with style and capability marked.

Not covered: reading the rows and keeping the trajectories (`tessy.stages.given`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace

from tessy.boundary.labels import FOREIGN_LABEL
from tessy.chat import Renderer
from tessy.config.given import GivenTraces
from tessy.generation.switching import Switching
from tessy.records import Role, Trajectory
from tessy.sources import Layout, LeftOut, Markers, Row, Unfit, exchange_of, id_of, parts_of
from tessy.synthesis.given import Facts, marked, trajectory

Marking = Callable[[Sequence[str]], Sequence[Sequence[tuple[int, bool]]]]
"""From thinkings to (offset, whether it is style) of their tokens."""


class Names:
    """Sample ids: a row's own id and a number, which tells rows of one id apart."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: dict[str, int] = {}

    def of(self, row: Row) -> tuple[str, str]:
        """The ids of the sample and its problem. To be asked once for every row, in order."""
        try:
            problem = id_of(row.values, self._layout, row.origin)
        except Unfit:
            problem = row.origin
        number = self._seen[problem] = self._seen.get(problem, -1) + 1
        return f"{problem}#{number}", problem


@dataclass(frozen=True, slots=True)
class Begun:
    """Rows that are worked on, and what comes of them, in their order."""

    rows: Sequence[Row]
    found: Iterator[Trajectory | Unfit]


@dataclass(frozen=True, slots=True)
class Importer:
    """Makes trajectories of rows with the columns `layout`."""

    given: GivenTraces
    layout: Layout
    renderer: Renderer
    facts: Facts
    marking: Marking | None = None

    def begun(self, pool: Executor, rows: Sequence[Row], names: Sequence[tuple[str, str]]) -> Begun:
        """Have `pool` work on rows."""
        return Begun(rows, pool.map(self._one, rows, names))

    def made(self, begun: Begun) -> tuple[list[Trajectory], LeftOut]:
        """The trajectories of rows once they are there, and which rows were left out."""
        found, left_out = list(begun.found), LeftOut()
        for row, one in zip(begun.rows, found, strict=True):
            if isinstance(one, Unfit):
                left_out.add(row.origin, one)
        made = [one for one in found if isinstance(one, Trajectory)]
        if self.marking is None:
            return made, left_out
        style = self.marking([one.spans[0].text for one in made])
        return [marked(*pair, self.renderer) for pair in zip(made, style, strict=True)], left_out

    def _one(self, row: Row, names: tuple[str, str]) -> Trajectory | Unfit:
        marks = self.given.markers
        try:
            exchange = exchange_of(row.values, self.layout)
            if self.given.system == "drop":
                exchange = replace(exchange, system="")
            parts = parts_of(exchange, Markers(marks.opening, marks.closing) if marks else None)
            return trajectory(exchange, parts, *names, self.facts, self.renderer)
        except Unfit as why:
            return why


@contextmanager
def marker(switching: Switching, role: Role, slots: int) -> Iterator[Marking]:
    """The switch of `role`'s text, open until the end of the block, for up to `slots` thinkings at once."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        predictor = runner.run(stack.enter_async_context(switching.alone(role, slots)))

        async def label(name: str, text: str) -> list[tuple[int, bool]]:
            foreign = await predictor.foreign(name, "", text)
            predictor.release(name)
            return [(offset, is_foreign == bool(FOREIGN_LABEL[role])) for offset, is_foreign in foreign]

        async def all_labels(texts: Sequence[str]) -> list[list[tuple[int, bool]]]:
            return await asyncio.gather(*(label(str(number), text) for number, text in enumerate(texts)))

        try:
            yield lambda texts: runner.run(all_labels(texts))
        finally:
            runner.run(stack.aclose())
