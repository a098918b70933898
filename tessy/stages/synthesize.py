"""The stage `synthesize`: one method's trajectories for every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tessy.artifacts import read_parquet, write_json, write_parquet
from tessy.chat import QWEN3_NO_NEWLINE
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import Problem, Trajectory
from tessy.stages.names import SYNTHESIS, TRAJECTORIES
from tessy.stages.problems import FILE as PROBLEMS
from tessy.stages.switching import TRAINED, require_usable
from tessy.stages.writing import drain, renderer_of, responses
from tessy.synthesis.drafts import Compat, samples_of
from tessy.synthesis.methods import METHODS, TITLES
from tessy.synthesis.official import counted_by_student, samples_by_prompt
from tessy.synthesis.prompts import answering
from tessy.synthesis.settings import Compatibility

ROWS_AT_ONCE = 256
"""Trajectories in memory while they are written out."""


def run(job: Job) -> None:
    task = _task(job)
    if task["method"].thinking == "both":
        require_usable(job, task["switch"], sliding=task["compat"].window == "sliding")
    write_set(job, _as_kept(job, responses(job, **task)))


def join(job: Job) -> None:
    """Help to write the trajectories; the process that runs the stage puts them together."""
    drain(job, **_task(job))


def write_set(
    job: Job, trajectories: Iterable[Trajectory], more: Callable[[], Mapping[str, Any]] = dict
) -> None:
    """Write the training set of the job's method and a summary of it, with `more` counts of its own,
    which are asked for when all trajectories have passed."""
    summary = Summary()
    about = f"Training responses by the method {TITLES[job.config['method']]}."
    write_parquet(
        job.out / TRAJECTORIES, summary.watch(trajectories), job.name, about, rows_at_once=ROWS_AT_ONCE
    )
    values = {**summary.values(), **more()}
    write_json(job.out / SYNTHESIS, values)
    job.tracker.log({k: v for k, v in values.items() if not isinstance(v, dict)})


def _task(job: Job) -> dict[str, Any]:
    settings, compat = job.config["synthesis"], _compat(job)
    problems = read_parquet(job.inputs["problems"] / PROBLEMS, Problem)
    by_prompt = compat.samples == "prompts"
    return {
        "samples": samples_by_prompt(problems)
        if by_prompt
        else samples_of(problems, job.config.get("repeats", 1)),
        "name": job.config["method"],
        "method": METHODS[job.config["method"]],
        "sampler": settings["sampler"],
        "max_tokens": settings["max_tokens"],
        "chunk_tokens": settings.get("chunk_tokens"),
        "switch": settings.get("switch", TRAINED),
        "compat": Compat(compat.hand_over, compat.first_token, tuple(compat.end_spellings), compat.window),
        "formats": {} if compat.prompt_newline else {"qwen3": QWEN3_NO_NEWLINE},
    }


def _compat(job: Job) -> Compatibility:
    return Compatibility.model_validate(job.config["synthesis"].get("compat", {}))


def _as_kept(job: Job, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
    """Trajectories as they are written out: by the student's own template, counted as asked for."""
    compat, student = _compat(job), renderer_of(job, "student")
    for trajectory in trajectories:
        kept = trajectory if compat.prompt_newline else answering(trajectory, trajectory.prompt, student)
        yield kept if compat.teacher_tokens == "own" else counted_by_student(kept, student)


class Summary:
    """Counts of a synthesis, taken as its trajectories pass by."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def watch(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        for t in trajectories:
            self._count["tokens"] += t.tokens
            self._count["generated"] += t.generated_tokens
            self._count["rolled_back"] += t.rolled_back_tokens
            self._reasons[t.stop_reason] += 1
            self._failures[t.failure] += bool(t.failure)
            for span in t.spans:
                self._count[span.author] += span.tokens
            yield t

    def values(self) -> dict[str, Any]:
        """Tokens of thinking are compared in their own authors' tokenizers."""
        count, reasons = self._count, self._reasons
        total = reasons.total()
        if not total:
            raise UserError("synthesis wrote nothing: there are no problems")
        return {
            "trajectories": total,
            "failed": total - reasons["finished"],
            "stop_reasons": dict(reasons),
            "failures": {reason: times for reason, times in self._failures.items() if reason},
            "mean_tokens": count["tokens"] / total,
            "teacher_token_share": count["teacher"] / max(1, count["teacher"] + count["student"]),
            "generated_tokens": count["generated"],
            "rolled_back_tokens": count["rolled_back"],
        }
