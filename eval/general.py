"""The stage `lm_eval`: one checkpoint on benchmarks that lm-eval scores.

lm-eval supplies documents, prompts and scoring; the responses are written by the project's own engine with
the recipe's sampler and length, as those to the code benchmarks are. So no stop string of a task can cut
into thinking, an answer is read after the thinking, truncation is known, and a killed stage resumes where it
stopped. Every sample is scored by itself, as a run of its own: a task's rule for choosing one of several
samples never applies.

Not covered: loglikelihood tasks, and metrics that are not a mean over problems.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
from datasets.exceptions import DatasetsError
from lm_eval.api.model import LM

from eval.code import RESPONSES, Asked, generate
from eval.lm_tasks import few_shot, known
from eval.scores import digest
from tessy.artifacts import write_json, write_parquet
from tessy.config.base import MINIATURE
from tessy.config.evaluate import MINIATURE_TASK, LmEvalBenchmark
from tessy.errors import UserError
from tessy.generation.models import NamedModel
from tessy.hub import unusable
from tessy.layout import SAMPLE_SCORES, SCORECARD
from tessy.miniature.files import OOD
from tessy.records import Problem, Response
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.stages.lm_eval import LmEvalStage


def run(job: Job[LmEvalStage]) -> None:
    config = job.config
    for name, tested in config.evaluate.benchmarks.items():
        benchmark = tested.benchmark
        asked = Asked(name, config.evaluate, config.seed, tested.samples, NamedModel(config.model, "model"))
        model = Responder(job, asked)
        task = load_task(benchmark, job.inputs.get("world"), config.seed)
        rows = [row for sample in range(tested.samples) for row in score(task, benchmark, model, sample)]
        about = f"lm-eval's {benchmark.metric} per response."
        write_parquet(job.out / name / RESPONSES, model.responses, f"{name} responses", "Model answers.")
        write_parquet(job.out / name / SAMPLE_SCORES, rows, name, about)
        how = {"prompts_sha256": model.prompts_sha256, **asked.protocol}
        write_json(job.out / name / SCORECARD, scorecard(task, benchmark, how, rows))
        job.tracker.log({f"{name}/{benchmark.metric}": _mean(rows, "score")})


class Responder(LM):
    """The job's checkpoint to lm-eval: answers with one sample of each problem at a time.

    All samples are written when the first is asked for. A prompt is the text of the user's message;
    the engine renders the chat around it.
    """

    tokenizer_name = "tessy"

    def __init__(self, job: Job[StageConfig], asked: Asked) -> None:
        super().__init__()
        self.job, self.asked, self.name = job, asked, asked.name
        self.sample = 0
        self.responses: list[Response] = []
        self.prompts_sha256 = ""

    def apply_chat_template(self, history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        if [message["role"] for message in history] != ["user"]:
            raise UserError(
                f"benchmark {self.name}: its prompt is not one user message; remove system text and prefixes"
            )
        return history[0]["content"]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        if not self.responses:
            problems = [Problem(str(request.doc_id), request.args[0]) for request in requests]
            self.prompts_sha256 = digest(problem.prompt for problem in problems)
            self.responses = generate(self.job, self.asked, problems)
        return [response.response for response in self.of_sample(self.sample)]

    def of_sample(self, number: int) -> list[Response]:
        """The responses of that number, one per problem in order."""
        return self.responses[number :: self.asked.samples]

    def loglikelihood(self, requests: Any) -> Any:
        raise UserError(f"benchmark {self.name}: asks for likelihoods; only generated answers are scored")

    def loglikelihood_rolling(self, requests: Any) -> Any:
        return self.loglikelihood(requests)


def load_task(benchmark: LmEvalBenchmark, world: Path | None, seed: int) -> Any:
    """The lm-eval task with one repeat and the recipe's data; raises `UserError` for an unknown name."""
    manager, config = known(benchmark)
    random.seed(seed)
    np.random.seed(seed)
    where = _data(benchmark, world, config)
    overrides = {"task": benchmark.task, "repeats": 1, **where, **few_shot(benchmark, config)}
    # A group is lm-eval's way to name a registered task and change some of its fields.
    spec = {"group": benchmark.name, "task": [overrides]}
    try:
        (task,) = manager.load([spec])["tasks"].values()
    except (OSError, DatasetsError) as error:
        what = f"benchmark {benchmark.name}: data set of task {benchmark.task}"
        raise UserError(unusable(what, benchmark.revision, error)) from error
    if benchmark.revision is not None:
        _require_revision(task, benchmark)
    task.set_fewshot_seed(seed)
    return task


def _require_revision(task: Any, benchmark: LmEvalBenchmark) -> None:
    """Raise `UserError` unless the documents are the pinned ones: where the hub cannot be asked, `datasets`
    takes what it read last, whichever revision that was."""
    files = [file["filename"] for split in task.dataset.values() for file in split.cache_files]
    if not all(benchmark.revision in Path(file).parts for file in files):
        what = f"data set of task {benchmark.task} at revision {benchmark.revision}"
        raise UserError(
            f"benchmark {benchmark.name}: {what}: the hub did not give it, and the cache holds another one; "
            "check the network, or accept its terms and set HF_TOKEN, or give a local file as `data`"
        )


def _data(benchmark: LmEvalBenchmark, world: Path | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a task that say where its documents are."""
    path = benchmark.data
    if benchmark.task == MINIATURE_TASK:
        if world is None:
            raise UserError(f"task {MINIATURE_TASK}: needs a recipe with a `world`")
        path = str(world / OOD)
    if path is None:
        return {"dataset_kwargs": {"revision": benchmark.revision}}
    # Whichever split the task tests on is that file; its examples come from elsewhere (`few_shot`).
    splits = [config.get(f"{use}_split") or use for use in ("training", "validation", "test", "fewshot")]
    own = (config.get("fewshot_config") or {}).get("split")
    files = dict.fromkeys([*splits, own] if own else splits, path)
    return {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}


def score(task: Any, benchmark: LmEvalBenchmark, model: Responder, sample: int) -> list[dict[str, Any]]:
    """One row per problem for the `sample`-th responses, scored by lm-eval."""
    model.sample = sample
    result = lm_eval.evaluate(
        lm=model,
        task_dict={"tasks": {benchmark.task: task}},
        limit=benchmark.limit,
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    truncated = {response.problem_id: response.truncated for response in model.of_sample(sample)}
    return [
        {
            "problem_id": str(found["doc_id"]),
            "sample": sample,
            "score": float(found[benchmark.metric]),
            "truncated": truncated[str(found["doc_id"])],
        }
        for found in chosen(result, benchmark)
    ]


def chosen(result: Mapping[str, Any], benchmark: LmEvalBenchmark) -> list[Mapping[str, Any]]:
    """lm-eval's samples under the recipe's filter; raises `UserError` if it or the metric is not there."""
    (samples,) = result["samples"].values()
    found = [sample for sample in samples if sample["filter"] == benchmark.filter]
    if not found or benchmark.metric not in found[0]:
        filters = sorted({sample["filter"] for sample in samples})
        metrics = sorted({metric for sample in samples for metric in sample["metrics"]})
        raise UserError(
            f"benchmark {benchmark.name}: task {benchmark.task} has no metric {benchmark.metric!r} under "
            f"filter {benchmark.filter!r}; metrics: {', '.join(metrics)}; filters: {', '.join(filters)}"
        )
    return found


def scorecard(
    task: Any, benchmark: LmEvalBenchmark, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The protocol of the score, and the means of one checkpoint."""
    return {
        "benchmark": benchmark.model_dump(mode="json"),
        "protocol": {
            "title": f"{benchmark.task} of lm-eval",
            "task_version": task.VERSION,
            "source": benchmark.data or _pinned(task, benchmark),
            "prompt": "the task's, as one user message",
            "examples": task.config.num_fewshot or 0,
            "examples_from": benchmark.fewshot_data or "the task",
            "extraction": f"the task's filter {benchmark.filter!r}, after the thinking",
            **settings,
        },
        "problems": {"denominator": len({row["problem_id"] for row in rows})},
        "scores": {benchmark.metric: _mean(rows, "score"), "truncated": _mean(rows, "truncated")},
    }


def _pinned(task: Any, benchmark: LmEvalBenchmark) -> str:
    return f"{task.DATASET_PATH}@{benchmark.revision}" if benchmark.revision else MINIATURE


def _mean(rows: Sequence[Mapping[str, Any]], field: str) -> float:
    return sum(row[field] for row in rows) / len(rows)
