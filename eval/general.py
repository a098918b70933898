"""The stage `lm_eval`: one checkpoint on benchmarks that lm-eval scores.

Sampling and length come from the recipe, never from the task: lm-eval's own defaults are greedy and
short, which is not how reasoning models are compared. Thinking is cut off before an answer is read.

Not covered: loglikelihood tasks, several samples per problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tessy.artifacts import write_json, write_parquet
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.stages.miniature import OOD
from tessy.stages.report import SAMPLE_SCORES

TASKS = Path(__file__).with_name("tasks")
THINK_END = "</think>"
BATCH = 32


def run(job: Job) -> None:
    settings = job.config["evaluate"]
    for name, benchmark in settings["benchmarks"].items():
        result = evaluate(job, benchmark, settings)
        rows = sample_scores(result, benchmark)
        write_parquet(
            job.out / name / SAMPLE_SCORES, rows, name, f"lm-eval's {benchmark['metric']} per problem."
        )
        (versions,) = result["versions"].values()
        write_json(
            job.out / name / "lm_eval.json",
            {"task_version": versions, "config": result["config"].get("gen_kwargs")},
        )
        job.tracker.log({f"{name}/{benchmark['metric']}": sum(row["score"] for row in rows) / len(rows)})


def evaluate(job: Job, benchmark: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """lm-eval's own result for one task, with the samples it logged."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    sampler, seed = settings["sampler"], job.config["seed"]
    result: dict[str, Any] = lm_eval.simple_evaluate(
        model=_watched_model(job),
        tasks=[_task(job, benchmark)],
        task_manager=TaskManager(include_path=str(TASKS)),
        apply_chat_template=True,
        limit=benchmark["limit"],
        log_samples=True,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        gen_kwargs={
            "do_sample": sampler["temperature"] > 0,
            "temperature": sampler["temperature"],
            "top_p": sampler["top_p"],
            "top_k": sampler["top_k"],
            "max_gen_toks": settings["max_tokens"],
        },
    )
    return result


def _watched_model(job: Job) -> Any:
    """lm-eval's transformers model for the job's checkpoint, telling how far it is after each batch."""
    import torch
    from lm_eval.models.huggingface import HFLM

    class Watched(HFLM):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            self.done, self.total = 0, len(requests)
            return super().generate_until(requests, disable_tqdm=True)

        def _model_generate(self, context: Any, *args: Any, **kwargs: Any) -> Any:
            out = super()._model_generate(context, *args, **kwargs)
            self.done += len(context)
            job.progress(self.done, self.total, "responses")
            return out

    source, revision = job.model()
    return Watched(
        pretrained=source,
        revision=revision or "main",
        dtype="auto",
        device="cuda" if torch.cuda.is_available() else "cpu",
        batch_size=BATCH,
        think_end_token=THINK_END,
    )


def _task(job: Job, benchmark: Mapping[str, Any]) -> str | dict[str, Any]:
    """The task's name; the miniature's whole definition, told where its world lies."""
    name: str = benchmark["task"]
    if name != "miniature_ood":
        return name
    if "world" not in job.inputs:
        raise UserError("task miniature_ood: needs a recipe with a `world`")
    definition: dict[str, Any] = yaml.safe_load((TASKS / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**definition, "dataset_kwargs": {"data_files": {"test": str(job.inputs["world"] / OOD)}}}


def sample_scores(result: Mapping[str, Any], benchmark: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per problem; raises `UserError` where the metric or filter is not the task's."""
    (samples,) = result["samples"].values()
    chosen = [sample for sample in samples if sample["filter"] == benchmark["filter"]]
    if not chosen or benchmark["metric"] not in chosen[0]:
        filters = sorted({sample["filter"] for sample in samples})
        metrics = sorted({metric for sample in samples for metric in sample["metrics"]})
        raise UserError(
            f"benchmark task {benchmark['task']}: no metric {benchmark['metric']!r} under filter "
            f"{benchmark['filter']!r}; "
            f"metrics: {', '.join(metrics)}; filters: {', '.join(filters)}"
        )
    return [
        {"problem_id": str(sample["doc_id"]), "score": float(sample[benchmark["metric"]])}
        for sample in chosen
    ]
