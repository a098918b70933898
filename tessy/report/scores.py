"""Computes the cells of the result table from evaluation artifacts: metrics, intervals, paired tests.

A metric maps one problem's samples to one number. Over the training seeds of a method these form an
array (seeds, problems), from which means and intervals are computed: the mean over samples is pass@1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tessy.artifacts import read_json, read_rows
from tessy.config.evaluate import Benchmark
from tessy.layout import SAMPLE_SCORES, SCORECARD, VERDICTS
from tessy.report.contract import Row
from tessy.statistics import difference, mean, paired_p_value, pass_at_k

STUDENT = "Student"
PAPER = Path(__file__).with_name("paper.json")
DIFFICULTIES = ("easy", "medium", "hard")


@dataclass(frozen=True, slots=True)
class Sample:
    """One response's score in [0, 1], with tags for breakdowns.

    `fixed` is whether it passes when the judge's known faults are repaired, None where that is unknown.
    """

    problem: str
    score: float
    truncated: bool
    judgeable: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    prefix: Mapping[str, bool] = field(default_factory=dict)
    fixed: bool | None = None


Inputs: TypeAlias = Mapping[str, Path]
"""The folders of evaluation stages' artifacts, by stage."""
Runs: TypeAlias = Mapping[int, Mapping[str, Sequence[Sample]]]
"""Seed -> problem -> samples."""
Metric: TypeAlias = Callable[[Sequence[Sample]], float | None]
"""One problem's samples -> its value, None where they say nothing."""


def read_runs(inputs: Inputs, labels: Mapping[int, str], benchmark: Benchmark) -> Runs:
    """The samples of one benchmark from the evaluation stages `labels` (by seed)."""
    read = _lm_eval_samples if benchmark.kind == "lm_eval" else _code_samples
    return {seed: _by_problem(read(inputs, label, benchmark.name)) for seed, label in labels.items()}


def read_scorecard(inputs: Inputs, label: str, benchmark: Benchmark) -> dict[str, Any]:
    stage = "lmeval" if benchmark.kind == "lm_eval" else "evaluate"
    card: dict[str, Any] = read_json(inputs[f"{stage}-{label}"] / benchmark.name / SCORECARD)
    return {key: card[key] for key in ("protocol", "problems")}


def _code_samples(inputs: Inputs, label: str, name: str) -> Iterator[Sample]:
    for row in read_rows(inputs[f"evaluate-{label}"] / name / VERDICTS):
        yield Sample(
            problem=f"{row['problem_id']}/{row['language']}",
            score=float(row["passed"]),
            truncated=row["truncated"],
            judgeable=row["judgeable"],
            tags={key: tag for key, tag in row["tags"].items() if tag is not None},
            prefix=row["prefix"] or {},
            fixed=row["fixed"],
        )


def _lm_eval_samples(inputs: Inputs, label: str, name: str) -> Iterator[Sample]:
    for row in read_rows(inputs[f"lmeval-{label}"] / name / SAMPLE_SCORES):
        yield Sample(row["problem_id"], row["score"], row["truncated"])


def _by_problem(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        out[sample.problem].append(sample)
    return out


# Metrics ------------------------------------------------------------------------------------------


def main_metric(benchmark: Benchmark) -> str:
    return benchmark.metric if benchmark.kind == "lm_eval" else "pass@1"


def metrics(benchmark: Benchmark, runs: Runs, pass_at: Sequence[int]) -> dict[str, Metric]:
    """The benchmark's own metric, then the others that its samples allow."""
    name, samples = main_metric(benchmark), list(_all(runs))
    found: dict[str, Metric] = {name: _score}
    if {sample.score for sample in samples} <= {0.0, 1.0}:
        most = _most_samples(runs)
        found |= {f"pass@{k}": partial(_pass_at, k=k) for k in pass_at if k <= most}
    for share in samples[0].prefix:
        found[f"{name}, first {share} of tests"] = partial(_prefix, share=share)
    if not all(sample.judgeable for sample in samples):
        found[f"{name}, judgeable problems only"] = _judgeable_score
    if any(sample.fixed is not None for sample in samples):
        found[f"{name}, judge's faults repaired"] = _fixed
    found["truncated"] = _truncated
    return found


def _score(samples: Sequence[Sample]) -> float:
    return fmean(sample.score for sample in samples)


def _judgeable_score(samples: Sequence[Sample]) -> float | None:
    return _score(samples) if samples[0].judgeable else None


def _pass_at(samples: Sequence[Sample], k: int) -> float | None:
    if len(samples) < k:
        return None
    return pass_at_k(len(samples), sum(sample.score == 1 for sample in samples), k)


def _prefix(samples: Sequence[Sample], share: str) -> float:
    return fmean(sample.prefix[share] for sample in samples)


def _fixed(samples: Sequence[Sample]) -> float | None:
    decided = [sample.fixed for sample in samples if sample.fixed is not None]
    return fmean(decided) if decided else None


def _truncated(samples: Sequence[Sample]) -> float | None:
    return fmean(sample.truncated for sample in samples) if samples[0].judgeable else None


# Cells --------------------------------------------------------------------------------------------


def cells(method: str, benchmark: Benchmark, runs: Runs, pass_at: Sequence[int]) -> Iterator[Row]:
    """One method's row entries for one benchmark, the benchmark's own metric first."""
    for name, metric in metrics(benchmark, runs, pass_at).items():
        scores = matrix(runs, metric)
        if not scores.size:
            continue
        estimate = mean(scores)
        yield Row(
            method=method,
            benchmark=benchmark.name,
            metric=name,
            value=estimate.value,
            ci_low=estimate.low,
            ci_high=estimate.high,
            n_problems=scores.shape[1],
            n_samples=_most_samples(runs),
            seeds=sorted(runs),
            paper=paper_value(method, benchmark) if name == main_metric(benchmark) else None,
        )


def matrix(runs: Runs, metric: Metric) -> NDArray[np.float64]:
    """Array of shape (seeds, problems), over the problems for which every seed has a value."""
    values = [
        {name: value for name, samples in by.items() if (value := metric(samples)) is not None}
        for by in runs.values()
    ]
    shared = sorted(set.intersection(*map(set, values)))
    return np.array([[value[name] for name in shared] for value in values])


def paired(benchmark: Benchmark, by_method: Mapping[str, Runs]) -> Iterator[dict[str, Any]]:
    """Every method against the student, and TESSY against Teacher-Only, problem by problem."""
    pairs = [(method, STUDENT) for method in by_method if method != STUDENT]
    pairs += [(STUDENT, "Teacher-Only"), ("TESSY", "Teacher-Only")]
    for method, against in pairs:
        if method not in by_method or against not in by_method:
            continue
        ours, theirs = (matrix(runs, _score) for runs in _common(by_method[method], by_method[against]))
        gap = difference(ours, theirs)
        yield {
            "method": method,
            "against": against,
            "benchmark": benchmark.name,
            "metric": main_metric(benchmark),
            "difference": gap.value,
            "ci_low": gap.low,
            "ci_high": gap.high,
            "p_value": paired_p_value(ours, theirs),
        }


def breakdown(
    method: str, benchmark: Benchmark, runs: Runs, names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The benchmark's own metric by each tag in which its problems differ; `names` renames groups."""
    for by in next(_all(runs)).tags:
        groups = sorted({sample.tags[by] for sample in _all(runs)}, key=_in_order)
        for group in groups if len(groups) > 1 and by != "date" else ():
            scores = matrix(_only(runs, by, group), _score)
            estimate = mean(scores)
            yield {
                "method": method,
                "benchmark": benchmark.name,
                "by": by,
                "group": names.get(group, group),
                "value": estimate.value,
                "ci_low": estimate.low,
                "ci_high": estimate.high,
                "n_problems": scores.shape[1],
            }


def paper_value(method: str, benchmark: Benchmark) -> float | None:
    """The paper's value of a cell as a fraction."""
    paper, column = read_json(PAPER), benchmark.paper_column
    if column not in paper["columns"] or method not in paper["table1"]:
        return None
    return float(paper["table1"][method][paper["columns"].index(column)]) / 100


def _all(runs: Runs) -> Iterator[Sample]:
    return (sample for by in runs.values() for samples in by.values() for sample in samples)


def _most_samples(runs: Runs) -> int:
    return max(len(samples) for by in runs.values() for samples in by.values())


def _common(*several: Runs) -> list[Runs]:
    shared = set.intersection(*(set(by) for runs in several for by in runs.values()))
    return [{seed: {name: by[name] for name in shared} for seed, by in runs.items()} for runs in several]


def _only(runs: Runs, by: str, group: str) -> Runs:
    return {
        seed: {name: samples for name, samples in problems.items() if samples[0].tags[by] == group}
        for seed, problems in runs.items()
    }


def _in_order(group: str) -> tuple[int, str]:
    return (DIFFICULTIES.index(group) if group in DIFFICULTIES else 0, group)
