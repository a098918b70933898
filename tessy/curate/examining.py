"""What the rules say of a chunk of rows: the first pass, in which alone texts are looked at. Pure, but for
the worker processes that share the work.

Every row gets its findings, its sketch for the duplicates, and the tests of a benchmark that it is. So what
follows needs no text.

Not covered: reading (`tessy.curate.reading`), and what is decided from the findings
(`tessy.curate.deciding`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tessy.config.curation import Rules
from tessy.curate.reading import Draft
from tessy.curation_rules.characters import repair
from tessy.curation_rules.chunks import Sketches, sketch
from tessy.curation_rules.cleaning import Finding, clean
from tessy.curation_rules.decontamination import BenchmarkIndex, Match, in_window
from tessy.curation_rules.signatures import NONE
from tessy.curation_rules.text import Hashes

UNREADABLE = "unreadable"
"""The step of the funnel for rows without a statement; their own rules say why."""
WINDOW = "date"
CountTokens = Callable[[str], dict[str, int]]
"""The length of a prompt by role, for roles whose limit it could pass."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What every worker needs: the rules, the benchmarks, and how to count tokens."""

    rules: Rules
    index: BenchmarkIndex | None
    tokens: CountTokens = lambda _: {}
    common: Hashes = field(default_factory=lambda: NONE)
    """Shingles that make no duplicates."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A row after the rules that look at it alone. `removed` is the rule that leaves it out, or empty, with
    its `evidence`; `sketch` is the row's place in the chunk's sketches, None for rows that are left out."""

    draft: Draft
    prompt: str
    removed: str = ""
    evidence: str = ""
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in order, and the sketches of those that are not removed, in the same order."""

    rows: list[Examined] = field(default_factory=list)
    sketches: Sketches | None = None

    @property
    def staying(self) -> list[Examined]:
        return [row for row in self.rows if not row.removed]


def examine(drafts: Sequence[Draft], book: Rulebook) -> Chunk:
    """Every row of `drafts` with its findings, in order."""
    rows = [_examined(draft, book) for draft in drafts]
    chunk = Chunk(rows)
    prompts = [row.prompt for row in chunk.staying]
    return Chunk(rows, sketch(prompts, book.rules.duplicates, book.common))


def _examined(draft: Draft, book: Rulebook) -> Examined:
    if draft.unread is not None:
        return Examined(draft, "", UNREADABLE, str(draft.unread))
    prompt, repairs = repair(draft.statement.prompt)
    findings = clean(prompt, book.tokens(prompt), book.rules.cleaning)
    removing = next((finding for finding in findings if finding.removes), None)
    notes = tuple(finding.rule for finding in findings if not finding.removes)
    if removing is None:
        removing = _outside(draft, book)
    if removing is not None:
        return Examined(draft, prompt, removing.rule, removing.evidence, repairs, notes)
    matches = tuple(book.index.matches(prompt)) if book.index else ()
    return Examined(draft, prompt, "", "", repairs, notes, matches)


def _outside(draft: Draft, book: Rulebook) -> Finding | None:
    """The finding for a row that is dated too late."""
    dated = date.fromisoformat(draft.statement.date) if draft.statement.date else None
    if in_window(dated, book.rules.decontamination):
        return None
    return Finding(WINDOW, f"dated {dated}", True)


def counts(rows: Iterable[Examined]) -> Counter[str]:
    """How many rows each rule removed."""
    return Counter(row.removed for row in rows if row.removed)


# Processes ----------------------------------------------------------------------------------------

_book: Rulebook | None = None


@contextmanager
def examiners(book: Rulebook, processes: int) -> Iterator[Callable[[Iterable[Any]], Iterator[Chunk]]]:
    """A function that examines chunks of drafts in order, in as many processes.

    At most two chunks for each process are under way, so that reading does not run ahead. Processes die with
    this one.
    """
    if processes < 2:
        yield lambda chunks: (examine(chunk, book) for chunk in chunks)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing import get_context

    global _book
    _book = book  # forked processes share it

    with ProcessPoolExecutor(processes, get_context("fork"), _begin, (os.getpid(),)) as pool:

        def every(chunks: Iterable[Any]) -> Iterator[Chunk]:
            waiting: list[Future[Chunk]] = []
            for chunk in chunks:
                waiting.append(pool.submit(_examine, chunk))
                if len(waiting) > 2 * processes:
                    yield waiting.pop(0).result()
            for one in waiting:
                yield one.result()

        yield every


def _begin(parent: int) -> None:
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _examine(drafts: Sequence[Draft]) -> Chunk:
    assert _book is not None
    return examine(drafts, _book)
