"""The stage `report`: collects results, curves and traces from the artifacts of the other stages."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import yaml

from tessy.artifacts import manifest_of, read_json, read_parquet
from tessy.config.base import part
from tessy.config.evaluate import Benchmark
from tessy.config.recipe import Experiment, Recipe
from tessy.layout import ANNOTATIONS, CURATION, RIGHT_TRACES, SWITCHES, SYNTHESIS, TRAJECTORIES
from tessy.machine import merged
from tessy.records import ROLES, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph
from tessy.runtime.stage import Kind, StageConfig

TRACES_PER_METHOD = 3


class ReportStage(StageConfig):
    """Everything that decides the experiment."""

    recipe: Experiment


KIND = Kind(
    "report",
    ReportStage,
    revision=8,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    preload=("tessy.report.page", "tessy.report.scores"),
)


def plan(recipe: Recipe, graph: Graph) -> str:
    """The stage that reads all others."""
    inputs = {name: name for name in graph.stages}
    return graph.add(KIND, "report", ReportStage(recipe=part(Experiment, recipe)), inputs)


def run(job: Job[ReportStage]) -> None:
    from tessy.report import LineageRow, ReportInput, scores, write_report

    recipe = job.config.recipe
    titles, benchmarks = recipe.synthesis.titles, recipe.evaluate.benchmarks
    manifests = {name: manifest_of(folder) or {} for name, folder in job.inputs.items()}
    tested, environment = _tested_models(recipe), _environment(manifests)
    results: dict[str, Any] = {
        "recipe": recipe.name,
        "fingerprint": job.out.name.removesuffix(".partial").rpartition("-")[2],
        "created": max(str(manifest["created"]) for manifest in manifests.values()),
        "rows": [],
        "synthesis": {title: _synthesis(job, name) for name, title in titles.items()},
        "timing": {name: manifest["seconds"] for name, manifest in manifests.items()},
        "breakdown": [],
        "paired": [],
        "protocol": {},
        "environment": environment,
        "epochs": [],
        "losses": _losses(job, recipe),
        "stopping": list(_stopping(manifests, recipe)),
        "out_of_domain": [b.name for b in recipe.evaluate.lm_eval],
        "predictor_training": {
            role: _training(job, role) for role in ROLES if f"predictor-{role}" in job.inputs
        },
        **_instrument(job),
        **_curation(job),
        **_validation(job, recipe),
    }
    names = {"easy": "known", "hard": "new"} if recipe.world is not None else {}
    for benchmark in benchmarks:
        runs = {m: scores.read_runs(job.inputs, labels, benchmark) for m, labels in tested.items()}
        for method, by_seed in runs.items():
            cells = scores.cells(method, benchmark, by_seed, recipe.evaluate.pass_at)
            results["rows"] += [cell.model_dump() for cell in cells]
            results["breakdown"] += scores.breakdown(method, benchmark, by_seed, names)
        results["paired"] += scores.paired(benchmark, runs)
        results["epochs"] += _epoch_cells(job, recipe, benchmark)
        results["protocol"][benchmark.name] = scores.read_scorecard(job.inputs, "student", benchmark)
    report = ReportInput(
        results=results,
        command="tessy run recipe.yaml  # the recipe below, saved under this name",
        curves=_curves(job, recipe),
        traces=list(_traces(job, recipe)),
        recipe_yaml=yaml.safe_dump(recipe.plain, sort_keys=False, allow_unicode=True, width=100),
        lineage=[
            LineageRow(
                stage=name,
                fingerprint=manifest["fingerprint"],
                seconds=manifest["seconds"],
                inputs=[source.rpartition("-")[0] for source in manifest["inputs"].values()],
            )
            for name, manifest in manifests.items()
        ],
        environment=environment,
    )
    write_report(report, job.out)
    job.tracker.table("results", results["rows"])


def _tested_models(recipe: Experiment) -> dict[str, dict[int, str]]:
    """Method title -> seed -> label of the evaluation stages of its checkpoint."""
    from tessy.report.scores import STUDENT

    tuned = {
        title: {seed: f"{method}-seed{seed}" for seed in recipe.train.seeds}
        for method, title in recipe.synthesis.titles.items()
    }
    return {STUDENT: {0: "student"}, **tuned}


def _epoch_cells(job: Job[ReportStage], recipe: Experiment, benchmark: Benchmark) -> Iterable[dict[str, Any]]:
    """The benchmark's own metric of every method after each chosen epoch except the last."""
    from tessy.report import scores

    for epoch in recipe.train.evaluate_epochs:
        for method, title in recipe.synthesis.titles.items():
            labels = {seed: f"{method}-seed{seed}-epoch{epoch}" for seed in recipe.train.seeds}
            runs = scores.read_runs(job.inputs, labels, benchmark)
            cell = next(iter(scores.cells(title, benchmark, runs, ())))
            yield {"epoch": epoch, **cell.model_dump()}


def _losses(job: Job[ReportStage], recipe: Experiment) -> dict[str, dict[str, Any]]:
    """Per training run, the loss by kind of token: tokens, mean nll, share of the whole."""
    return {
        f"{title} seed {seed}": read_json(job.inputs[f"train-{method}-seed{seed}"] / "losses.json")
        for method, title in recipe.synthesis.titles.items()
        for seed in recipe.train.seeds
    }


def _stopping(manifests: Mapping[str, Mapping[str, Any]], recipe: Experiment) -> Iterable[dict[str, Any]]:
    """Per training run, how often its checkpoint stopped by itself, from its manifest."""
    told = ("prompts", "stopped", "as_trained", "max_new_tokens")
    for method, title in recipe.synthesis.titles.items():
        for seed in recipe.train.seeds:
            found = manifests[f"train-{method}-seed{seed}"]["used"].get("stopping", {})
            for engine, one in found.items():
                run = f"{title} seed {seed}"
                yield {"run": run, "engine": engine, **{key: one[key] for key in told}}


def _synthesis(job: Job[ReportStage], method: str) -> dict[str, Any]:
    summary = read_json(job.inputs[f"synthesize-{method}"] / SYNTHESIS)
    left_out = {"left_out": summary["left_out"]} if "left_out" in summary else {}
    return left_out | {
        key: summary[key] for key in ("trajectories", "failed", "mean_tokens", "teacher_token_share")
    }


def _training(job: Job[ReportStage], role: Role) -> dict[str, Any]:
    """How `role`'s predictor was trained, and on what."""
    metrics = read_json(job.inputs[f"predictor-{role}"] / "metrics.json")
    record = read_json(job.inputs[f"annotations-{role}"] / ANNOTATIONS)
    agreed = record["agreement"] or {"kappa": None}
    return {**metrics, "outcomes": record["outcomes"], "kappa": agreed["kappa"]}


def _instrument(job: Job[ReportStage]) -> dict[str, Any]:
    if "instrument" not in job.inputs:
        return {}
    found = read_json(job.inputs["instrument"] / "instrument.json")
    switches = read_json(job.inputs["switches"] / SWITCHES) if "switches" in job.inputs else {}
    if switches:
        right = read_json(job.inputs["switches-judged"] / RIGHT_TRACES)
        switches = {name: row | {"right_traces": right[name]} for name, row in switches.items()}
    return {"instrument": found["checks"], "predictors": switches}


def _curation(job: Job[ReportStage]) -> dict[str, Any]:
    """What became of the problems, where the recipe curates them."""
    return {"curation": read_json(job.inputs["curation"] / CURATION)} if "curation" in job.inputs else {}


def _validation(job: Job[ReportStage], recipe: Experiment) -> dict[str, Any]:
    """Per training run, the loss on held-out problems by epoch."""
    if not recipe.train.validation:
        return {}
    found = {
        f"{title} seed {seed}": read_json(job.inputs[f"train-{method}-seed{seed}"] / "validation.json")
        for method, title in recipe.synthesis.titles.items()
        for seed in recipe.train.seeds
    }
    return {"validation": found}


def _curves(job: Job[ReportStage], recipe: Experiment) -> dict[str, list[dict[str, float]]]:
    return {
        f"{title} seed {seed}": json.loads(
            (job.inputs[f"train-{method}-seed{seed}"] / "curve.json").read_text()
        )
        for method, title in recipe.synthesis.titles.items()
        for seed in recipe.train.seeds
    }


def _traces(job: Job[ReportStage], recipe: Experiment) -> Iterable[Trajectory]:
    for method, title in recipe.synthesis.titles.items():
        trajectories = read_parquet(job.inputs[f"synthesize-{method}"] / TRAJECTORIES, Trajectory)
        finished = (t for t in trajectories if t.stop_reason == "finished")
        yield from (replace(t, method=title) for t in islice(finished, TRACES_PER_METHOD))


def _environment(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Machines and versions with which the stages ran; all values where they differ."""
    return {**merged(manifest["environment"] for manifest in manifests.values()), "system": platform.system()}
