"""The stage `report`: gathers what the other stages left into results, curves and traces.

Scores of one method over its training seeds form an array (seeds, problems), from which the table's
means and intervals come. Runs of several samples per problem are averaged per problem first: that mean
is pass@1.
"""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from tessy.artifacts import manifest_of, read_json, read_parquet, read_rows
from tessy.pipeline.job import Job
from tessy.records import Score, Trajectory, to_row
from tessy.report import LineageRow, ReportInput, write_report
from tessy.stages.synthesize import FILE, SUMMARY
from tessy.statistics import difference, mean
from tessy.synthesis.methods import METHODS

STUDENT = "Student"
PAPER = Path(__file__).parents[1] / "report" / "paper.json"
TRACES_PER_METHOD = 3
SAMPLE_SCORES = "scores.parquet"
"""What an lm-eval stage leaves per benchmark: one row per problem with `problem_id` and `score`."""

Scores = dict[int, dict[str, list[float]]]
"""Seed -> problem -> scores of its samples."""


def run(job: Job) -> None:
    recipe = job.config["recipe"]
    manifests = {name: manifest_of(folder) or {} for name, folder in job.inputs.items()}
    tested = _tested_models(recipe)
    results: dict[str, Any] = {
        "recipe": recipe["name"],
        "fingerprint": job.out.name.removesuffix(".partial").rpartition("-")[2],
        "created": max(str(manifest["created"]) for manifest in manifests.values()),
        "rows": [],
        "synthesis": {METHODS[m].title: _synthesis(job, m) for m in recipe["synthesis"]["methods"]},
        "timing": {name: manifest["seconds"] for name, manifest in manifests.items()},
        "breakdown": [],
        "paired": [],
        "out_of_domain": [b["name"] for b in recipe["evaluate"]["benchmarks"] if b["kind"] == "lm_eval"],
        **_instrument(job),
    }
    for benchmark in recipe["evaluate"]["benchmarks"]:
        scores = {method: _scores(job, labels, benchmark) for method, labels in tested.items()}
        results["rows"] += [to_row(_score(method, benchmark, by_seed)) for method, by_seed in scores.items()]
        results["paired"] += list(_paired(benchmark, scores))
        if benchmark["kind"] != "lm_eval":
            results["breakdown"] += list(
                _breakdown(job, tested, benchmark, miniature=recipe["world"] is not None)
            )
    report = ReportInput(
        results=results,
        command=f"make reproduce RECIPE=recipes/{recipe['name']}.yaml",
        curves=_curves(job, recipe),
        traces=list(_traces(job, recipe)),
        recipe_yaml=yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100),
        lineage=[_lineage(name, manifest) for name, manifest in manifests.items()],
        environment=_environment(manifests),
    )
    write_report(report, job.out)
    job.tracker.table("results", results["rows"])


def _tested_models(recipe: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """Method title -> seed -> label of the evaluation stages of its checkpoint."""
    tuned = {
        METHODS[method].title: {seed: f"{method}-seed{seed}" for seed in recipe["train"]["seeds"]}
        for method in recipe["synthesis"]["methods"]
    }
    return {STUDENT: {0: "student"}, **tuned}


def _scores(job: Job, labels: Mapping[int, str], benchmark: Mapping[str, Any]) -> Scores:
    out: Scores = {}
    for seed, label in labels.items():
        out[seed] = defaultdict(list)
        for row in _score_rows(job, label, benchmark):
            out[seed][row["problem_id"]].append(row["score"])
    return out


def _score_rows(job: Job, label: str, benchmark: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if benchmark["kind"] == "lm_eval":
        yield from read_rows(job.inputs[f"lmeval-{label}"] / benchmark["name"] / SAMPLE_SCORES)
        return
    for row in read_rows(job.inputs[f"evaluate-{label}"] / benchmark["name"] / "verdicts/verdicts.parquet"):
        problem = f"{row['problem_id']}/{row['language']}"
        yield {"problem_id": problem, "score": float(row["passed"]), "difficulty": row["difficulty"]}


def _matrix(scores: Scores) -> NDArray[np.float64]:
    """(seeds, problems), over the problems that every seed has a score for."""
    shared = set.intersection(*(set(by_problem) for by_problem in scores.values()))
    return np.array([[np.mean(by_problem[p]) for p in sorted(shared)] for by_problem in scores.values()])


def _score(method: str, benchmark: Mapping[str, Any], scores: Scores) -> Score:
    matrix = _matrix(scores)
    estimate = mean(matrix)
    return Score(
        method=method,
        benchmark=benchmark["name"],
        metric=benchmark.get("metric", "pass@1"),
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n_problems=matrix.shape[1],
        n_samples=max(len(samples) for by_problem in scores.values() for samples in by_problem.values()),
        seeds=sorted(scores),
        paper=_paper(method, benchmark.get("paper_column")),
    )


def _paper(method: str, column: str | None) -> float | None:
    """The paper's value of a cell as a fraction."""
    paper = read_json(PAPER)
    if column not in paper["columns"] or method not in paper["table1"]:
        return None
    return float(paper["table1"][method][paper["columns"].index(column)]) / 100


def _paired(benchmark: Mapping[str, Any], scores: Mapping[str, Scores]) -> Iterator[dict[str, Any]]:
    """Every method against the student, and TESSY against Teacher-Only, problem by problem."""
    pairs = [(method, STUDENT) for method in scores if method != STUDENT]
    pairs += [(STUDENT, "Teacher-Only"), ("TESSY", "Teacher-Only")]
    for method, against in pairs:
        if method not in scores or against not in scores:
            continue
        shared = _common([scores[method], scores[against]])
        gap = difference(_matrix(shared[0]), _matrix(shared[1]))
        yield {
            "method": method,
            "against": against,
            "benchmark": benchmark["name"],
            "metric": benchmark.get("metric", "pass@1"),
            "difference": gap.value,
            "ci_low": gap.low,
            "ci_high": gap.high,
        }


def _common(scores: list[Scores]) -> list[Scores]:
    shared = set.intersection(*(set(by_problem) for s in scores for by_problem in s.values()))
    return [{seed: {p: by[p] for p in sorted(shared)} for seed, by in s.items()} for s in scores]


def _breakdown(
    job: Job, tested: Mapping[str, Mapping[int, str]], benchmark: Mapping[str, Any], *, miniature: bool
) -> Iterator[dict[str, Any]]:
    """Scores by difficulty. The miniature's contests call problems of known concepts easy, others hard."""
    names = {"easy": "known", "hard": "new"} if miniature else {}
    for method, labels in tested.items():
        groups: dict[str, Scores] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for seed, label in labels.items():
            for row in _score_rows(job, label, benchmark):
                groups[row["difficulty"]][seed][row["problem_id"]].append(row["score"])
        for difficulty, scores in sorted(groups.items()):
            matrix = _matrix(scores)
            estimate = mean(matrix)
            yield {
                "method": method,
                "benchmark": benchmark["name"],
                "group": names.get(difficulty, difficulty),
                "value": estimate.value,
                "ci_low": estimate.low,
                "ci_high": estimate.high,
                "n_problems": matrix.shape[1],
            }


def _synthesis(job: Job, method: str) -> dict[str, Any]:
    summary = read_json(job.inputs[f"synthesize-{method}"] / SUMMARY)
    return {key: summary[key] for key in ("trajectories", "failed", "mean_tokens", "teacher_token_share")}


def _instrument(job: Job) -> dict[str, Any]:
    if "instrument" not in job.inputs:
        return {}
    found = read_json(job.inputs["instrument"] / "instrument.json")
    return {"instrument": found["checks"], "predictors": found["predictors"]}


def _curves(job: Job, recipe: Mapping[str, Any]) -> dict[str, list[dict[str, float]]]:
    return {
        f"{METHODS[method].title} seed {seed}": json.loads(
            (job.inputs[f"train-{method}-seed{seed}"] / "curve.json").read_text()
        )
        for method in recipe["synthesis"]["methods"]
        for seed in recipe["train"]["seeds"]
    }


def _traces(job: Job, recipe: Mapping[str, Any]) -> Iterable[Trajectory]:
    for method in recipe["synthesis"]["methods"]:
        trajectories = read_parquet(job.inputs[f"synthesize-{method}"] / FILE, Trajectory)
        finished = (t for t in trajectories if t.stop_reason == "finished")
        yield from (replace(t, method=METHODS[method].title) for t in islice(finished, TRACES_PER_METHOD))


def _lineage(name: str, manifest: Mapping[str, Any]) -> LineageRow:
    return LineageRow(
        stage=name,
        fingerprint=manifest["fingerprint"],
        seconds=manifest["seconds"],
        inputs=[source.rpartition("-")[0] for source in manifest["inputs"].values()],
    )


def _environment(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for manifest in manifests.values():
        merged |= manifest["environment"]
    return {**merged, "system": platform.system(), "cores": str(os.cpu_count())}
