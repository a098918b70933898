"""The stage `evaluate`: one checkpoint's responses to the code benchmarks, judged and scored.

Every benchmark leaves two datasets, `responses` and `verdicts`; scores with intervals over several
seeds are the report's business. A sample that could not be judged for reasons of ours (IE) is no wrong
answer: it is left out and counted, and too many of them stop the stage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.benchmarks import JUDGE_FORMAT, load_problems
from eval.judge import Judgement, Mode, Submission, judge
from tessy.artifacts import write_parquet
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.recipe import MINIATURE
from tessy.records import Problem, Response, Trajectory
from tessy.stages.miniature import CONTESTS
from tessy.stages.synthesize import write_responses
from tessy.synthesis.methods import METHODS
from tessy.synthesis.scheduler import samples_of

RESPONSES = "responses/responses.parquet"
VERDICTS = "verdicts/verdicts.parquet"
MOST_UNJUDGED = 0.01
"""Share of samples that may stay unjudged before a score is not to be believed."""


def run(job: Job) -> None:
    settings = job.config["evaluate"]
    for name, benchmark in settings["benchmarks"].items():
        folder = benchmark_folder(job, benchmark)
        problems = load_problems(benchmark["kind"], folder, benchmark["instruction"])
        responses = generate(job, name, problems, settings)
        write_parquet(job.out / name / RESPONSES, responses, f"{name} responses", "What the model answered.")
        judged = judge_responses(job, name, responses, benchmark["kind"], folder, benchmark["mode"])
        rows = list(scored(name, problems, responses, judged))
        write_parquet(job.out / name / VERDICTS, rows, f"{name} verdicts", "One row per judged response.")
        passed = [row["passed"] for row in rows]
        job.tracker.log(
            {
                f"{name}/pass@1": sum(passed) / len(passed),
                f"{name}/truncated": sum(r.truncated for r in responses),
            }
        )
        job.tracker.table(
            f"{name}/verdicts", [{k: row[k] for k in ("problem_id", "verdict", "passed")} for row in rows]
        )


def benchmark_folder(job: Job, benchmark: Mapping[str, Any]) -> Path:
    if benchmark["source"] == MINIATURE:
        return job.inputs["world"] / CONTESTS[benchmark["kind"]]
    return Path(benchmark["source"])


def generate(
    job: Job, name: str, problems: Sequence[Problem], settings: Mapping[str, Any], model: str = "model"
) -> list[Response]:
    """Responses of the job's model: thinking and answer, `settings["samples"]` per problem."""
    trajectories = write_responses(
        job,
        samples_of(problems, settings["samples"]),
        name=name,
        method=METHODS["student_only"],
        sampler=settings["sampler"],
        max_tokens=settings["max_tokens"],
        model_inputs={"student": model},
    )
    languages = {problem.problem_id: problem.language for problem in problems}
    return [response(t, name, languages[t.problem_id]) for t in trajectories]


def response(trajectory: Trajectory, benchmark: str, language: str) -> Response:
    by_kind = {"thinking": "", "answer": ""}
    for span in trajectory.spans:
        if span.kind != "markup":
            by_kind["answer" if span.kind == "answer" else "thinking"] += span.text
    return Response(
        sample_id=trajectory.sample_id,
        problem_id=trajectory.problem_id,
        benchmark=benchmark,
        language=language,
        thinking=by_kind["thinking"],
        response=by_kind["answer"],
        tokens=trajectory.tokens,
        truncated=trajectory.stop_reason == "length",
        seed=trajectory.seed,
    )


def judge_responses(
    job: Job, name: str, responses: Sequence[Response], kind: str, folder: Path, mode: Mode
) -> dict[str, dict[str, Any]]:
    """Judgements by sample id. Each is journaled as it comes, so a killed stage judges none twice."""
    journal = job.work / f"{name}.verdicts.jsonl"
    judged = {row["sample_id"]: row for row in _journaled(journal)}
    submissions = [
        Submission(problem_id=r.problem_id, language=r.language, response=r.response, sample_id=r.sample_id)
        for r in responses
        if r.sample_id not in judged
    ]
    with journal.open("a", encoding="utf-8") as stream:
        for judgement in judge(
            submissions,
            format=JUDGE_FORMAT[kind],
            problems=folder,
            workers=job.execution["judge_workers"],
            mode=mode,
        ):
            row = judged[judgement.sample_id] = _row(judgement)
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            job.progress(len(judged), len(responses), "judged")
    unjudged = [row for row in judged.values() if row["verdict"] == "IE"]
    if len(unjudged) > MOST_UNJUDGED * len(responses):
        raise UserError(
            f"{name}: {len(unjudged)} of {len(responses)} samples could not be judged (IE), first "
            f"{unjudged[0]['sample_id']}: "
            f"{unjudged[0]['detail']}; nothing is scored; run `tessy doctor`, then the same command again"
        )
    return judged


def scored(
    name: str,
    problems: Sequence[Problem],
    responses: Sequence[Response],
    judged: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """One row per response that was judged, with the problem's tags beside its verdict."""
    tags = {(problem.problem_id, problem.language): problem.tags for problem in problems}
    for r in responses:
        row = judged[r.sample_id]
        if row["verdict"] == "IE":
            continue
        yield {
            "benchmark": name,
            "passed": row["verdict"] == "AC",
            "language": r.language,
            "tokens": r.tokens,
            "truncated": r.truncated,
            "difficulty": tags[r.problem_id, r.language]["difficulty"],
            **row,
        }


def _row(judgement: Judgement) -> dict[str, Any]:
    return {
        "sample_id": judgement.sample_id,
        "problem_id": judgement.problem_id,
        "verdict": judgement.verdict,
        "official": judgement.official,
        "detail": judgement.detail,
        "tests": [asdict(test) for test in judgement.tests],
    }


def _journaled(path: Path) -> list[dict[str, Any]]:
    """Rows of a journal; the half line of a killed process is cut off, infrastructure errors are retried."""
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    path.write_bytes(whole + b"\n" if whole else b"")
    rows = [json.loads(line) for line in whole.decode().splitlines()]
    return [row for row in rows if row["verdict"] != "IE"]
