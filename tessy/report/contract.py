"""The schema of `results.json`, on which the report and outside checks rely.

The file itself is written from the caller's own dictionary, so further keys are kept.
Not covered: whether the numbers are right; only that they are possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tessy.report.curation import CurationRecord

ROUNDING = 1e-9
"""Slack for intervals computed in floating point, whose ends may pass 0, 1 or the value by a hair."""

Fraction = Annotated[float, Field(ge=-ROUNDING, le=1 + ROUNDING)]
Difference = Annotated[float, Field(ge=-1 - ROUNDING, le=1 + ROUNDING)]
Count = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0)]


def score_name(method: str, benchmark: str, metric: str) -> str:
    """The name of a score outside its table, for example in a sweep's metric."""
    return f"{method}/{benchmark}/{metric}"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class _Estimate(_Record):
    """A fraction with its 95 % interval."""

    value: Fraction
    ci_low: Fraction
    ci_high: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.ci_low - ROUNDING <= self.value <= self.ci_high + ROUNDING:
            raise ValueError("ci_low <= value <= ci_high does not hold")
        return self


class Row(_Estimate):
    """One cell of the result table. `paper` is the paper's value for that cell, or None."""

    method: str
    benchmark: str
    metric: str
    n_problems: Count
    n_samples: Count
    seeds: list[int]
    paper: Fraction | None

    @property
    def name(self) -> str:
        """`score_name` of this cell."""
        return score_name(self.method, self.benchmark, self.metric)


class EpochRow(Row):
    """One cell of the table after an epoch before the last."""

    epoch: Count


class KindLoss(_Record):
    """A kind of token in a training run: how many were trained on, their mean nll, and their share of the
    loss (paper, section 2: style and capability)."""

    tokens: NonNegative
    nll: NonNegative
    share_of_loss: Fraction


class Stopping(_Record):
    """Whether a training run's checkpoint, used as an outsider would with `engine`, stopped by itself
    (`train.answer`): in `stopped` of `prompts` answers of up to `max_new_tokens`; `as_trained` of the prompts
    that its chat template wrote were those it was trained on."""

    run: str
    engine: str
    prompts: Count
    stopped: Count
    as_trained: Count
    max_new_tokens: Count


class Group(_Estimate):
    """A method's score on one group of a benchmark's problems, such as `known` or `new`; `by` is the
    property by which problems are grouped."""

    method: str
    benchmark: str
    by: str = "difficulty"
    group: str
    n_problems: Count


class Paired(_Record):
    """The difference of `method` and `against` on the same problems, as a fraction, with its 95 % interval
    and the p-value of a two-sided paired test."""

    method: str
    against: str
    benchmark: str
    metric: str
    difference: Difference
    ci_low: Difference
    ci_high: Difference
    p_value: Fraction | None = None


class Synthesis(_Record):
    """A method's traces. `mean_tokens` is the mean length of a response in the student's vocabulary. Of a
    given set it is unknown who wrote a token; rows of it that could not be used are counted by rule."""

    trajectories: Count
    failed: Count
    mean_tokens: NonNegative
    teacher_token_share: Fraction | None
    left_out: dict[str, Count] = {}


class Predictor(_Record):
    """A boundary predictor compared with the generator's ground truth. `right_traces` is the share of traces
    written with it whose program is right."""

    token_f1: Fraction
    boundary_f1: Fraction
    style_leak: Fraction
    capability_leak: Fraction
    right_traces: Fraction | None = None


class PredictorTraining(_Record):
    """A trained predictor's scores on annotated tokens of held-out problems (`tessy.boundary.token_scores`),
    and its annotations; `kappa` is the agreement of two annotations of the same text, if there are two."""

    threshold: Fraction
    style_precision: Fraction
    style_recall: Fraction
    style_f1: Fraction
    capability_precision: Fraction
    capability_recall: Fraction
    capability_f1: Fraction
    boundary_f1: Fraction
    boundary_f1_within_2: Fraction
    calibration_error: Fraction
    held_out_tokens: Count
    segments: Count
    outcomes: dict[str, Count]
    kappa: Difference | None


class Check(_Record):
    """A sanity check of the instrument. `passed` is None where a value is reported, not judged."""

    name: str
    value: bool | int | float | str
    expectation: str
    passed: bool | None
    note: str = ""


class Results(_Record):
    """`results.json`. The keys with defaults are optional; benchmarks named in `out_of_domain` are
    those for which the paper claims no gain. `protocol` says how each benchmark was scored,
    `environment` on which machines and with which versions."""

    recipe: str
    fingerprint: str
    created: str
    rows: list[Row]
    synthesis: dict[str, Synthesis]
    timing: dict[str, NonNegative]
    predictors: dict[str, Predictor] = {}
    predictor_training: dict[str, PredictorTraining] = {}
    instrument: list[Check] = []
    breakdown: list[Group] = []
    paired: list[Paired] = []
    out_of_domain: list[str] = []
    protocol: dict[str, dict[str, Any]] = {}
    environment: dict[str, str] = {}
    epochs: list[EpochRow] = []
    losses: dict[str, dict[str, KindLoss]] = {}
    stopping: list[Stopping] = []
    curation: CurationRecord | None = None
    validation: dict[str, dict[str, dict[str, NonNegative]]] = {}

    @property
    def endless(self) -> list[Stopping]:
        """Checkpoints that did not stop every time."""
        return [one for one in self.stopping if one.stopped < one.prompts]

    @model_validator(mode="after")
    def _cells_are_unique(self) -> Self:
        cells = [(row.method, row.benchmark, row.metric) for row in self.rows]
        repeated = sorted({cell for cell in cells if cells.count(cell) > 1})
        if repeated:
            raise ValueError(f"rows give the cell {' / '.join(repeated[0])} more than once")
        return self


def parse_results(raw: Mapping[str, Any]) -> Results:
    """Check `raw` against the contract; raises `ValueError` naming every offending key and its value."""
    try:
        return Results.model_validate(dict(raw))
    except ValidationError as error:
        problems = [_problem(detail["loc"], detail["msg"], detail["input"]) for detail in error.errors()]
        raise ValueError("\n".join(problems)) from None


def _problem(path: tuple[int | str, ...], rule: str, value: object) -> str:
    key = "results" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    shown = "" if rule == "Field required" else f" (found {str(value)[:60]!r})"
    return f"{key}: {rule}{shown}; see the results.json contract in tessy/report/contract.py"


def score_metrics(results: Results) -> dict[str, float]:
    """The rows' values by name; under the same name, the ends of the interval."""
    ends = {f"{row.name}/{end}": getattr(row, end) for row in results.rows for end in ("ci_low", "ci_high")}
    return {row.name: row.value for row in results.rows} | ends
