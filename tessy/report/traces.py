"""Shows single traces: the author of each span, rolled-back text, the predictors' confidence.

Works on any artifact with `trajectories.parquet`, or on such a file alone. What an artifact did not
record (discarded text in older ones) is not shown.

Not covered: computing the confidences (`tessy.commands.confidences`); comparing several artifacts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from markupsafe import Markup

from tessy.boundary.operating_point import DEFAULT_THRESHOLD
from tessy.errors import UserError
from tessy.records import ROLES, Role, Span, Trajectory, from_row
from tessy.report.templates import HERE, template

FILE = "trajectories.parquet"
THINKING = frozenset({"style", "capability", "thinking"})
SURE = 0.9
"""A predictor that gives its label less than this is in doubt."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a span: a token of the author's predictor with its probability of style, or text without.
    Above `threshold` the predictor calls it style."""

    text: str
    style: float | None = None
    threshold: float = DEFAULT_THRESHOLD

    @property
    def label(self) -> str:
        if self.style is None:
            return ""
        return "style" if self.style > self.threshold else "capability"

    @property
    def in_doubt(self) -> bool:
        return self.style is not None and max(self.style, 1 - self.style) < SURE


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span, divided into pieces if there are confidences."""

    span: Span
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """A trajectory prepared for display."""

    trajectory: Trajectory
    stretches: tuple[Stretch, ...]

    @property
    def thinking(self) -> list[Stretch]:
        return [s for s in self.stretches if s.span.kind in THINKING]

    @property
    def rest(self) -> list[Stretch]:
        return [s for s in self.stretches if s.span.kind not in THINKING]

    @property
    def tokens(self) -> dict[Role, int]:
        spans = self.trajectory.spans
        return {role: sum(span.tokens for span in spans if span.author == role) for role in ROLES}

    @property
    def roll_backs(self) -> int:
        return sum(bool(span.discarded) for span in self.trajectory.spans)


def load(source: Path, *, samples: Sequence[str], limit: int) -> list[Trajectory]:
    """Up to `limit` trajectories; with `samples`, those whose sample or problem id is among them."""
    file = source / FILE if source.is_dir() else source
    if source.is_dir() and not file.exists():
        inside = ", ".join(sorted(str(found.parent) for found in source.glob(f"*/{FILE}")))
        named = inside or "an artifact of `synthesize` or a Parquet file"
        raise UserError(f"{source}: no {FILE} in it; name {named}")
    wanted = (t for t in _rows(file) if not samples or {t.sample_id, t.problem_id} & set(samples))
    found = list(islice(wanted, limit))
    if not found:
        raise UserError(f"{file}: no trajectory {'of ' + ', '.join(samples) if samples else 'in it'}")
    return found


def _rows(file: Path) -> Iterator[Trajectory]:
    """Rows one by one: an artifact may be larger than memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as rows:
            for batch in rows.iter_batches(batch_size=64):
                yield from (from_row(Trajectory, row) for row in batch.to_pylist())
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; name an artifact of `synthesize` or a Parquet file") from None
    except (KeyError, TypeError, OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{file}: not trajectories: {error}") from None


Confidences = Sequence[Mapping[Role, Sequence[tuple[int, float]]]]
"""Of each trace, (offset in its thinking, probability of style) by predictor."""


def inspected(
    trajectories: Sequence[Trajectory],
    style: Confidences = (),
    thresholds: Mapping[Role, float] = MappingProxyType({}),
) -> list[Inspected]:
    """Trajectories with the predictors' probabilities, and the predictors' thresholds where not 0.5."""
    known = style or [{} for _ in trajectories]
    return [
        Inspected(t, tuple(_stretches(t.spans, by_role, thresholds)))
        for t, by_role in zip(trajectories, known, strict=True)
    ]


def _stretches(
    spans: Sequence[Span],
    by_role: Mapping[Role, Sequence[tuple[int, float]]],
    thresholds: Mapping[Role, float],
) -> Iterable[Stretch]:
    at = 0
    for span in spans:
        if span.kind in THINKING:
            threshold = thresholds.get(span.author, DEFAULT_THRESHOLD)
            yield Stretch(span, tuple(_pieces(span.text, at, by_role.get(span.author, ()), threshold)))
            at += len(span.text)
        else:
            yield Stretch(span, (Piece(span.text),))


def _pieces(text: str, at: int, style: Sequence[tuple[int, float]], threshold: float) -> Iterable[Piece]:
    """`text`, which begins at offset `at`, divided at the tokens that begin in it."""
    inside = [(offset - at, probability) for offset, probability in style if at <= offset < at + len(text)]
    bounds = [*(start for start, _ in inside), len(text)]
    if bounds[0] > 0:
        yield Piece(text[: bounds[0]])
    for (start, probability), end in zip(inside, bounds[1:], strict=True):
        if end > start:
            yield Piece(text[start:end], probability, threshold)


def render_traces(traces: Sequence[Inspected], title: str) -> str:
    """One self-contained page; text by models is escaped, and only the page's own script may run."""
    script = (HERE / "traces.js").read_text(encoding="utf-8")
    style = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "traces.css"))
    return template("traces.html.jinja").render(
        traces=traces,
        title=title,
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
